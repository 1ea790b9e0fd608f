package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// guarded keeps what records and servers say from steering a terminal: of all control characters only line feed, tab, carriage return
// and our own colours reach it, the others as text. Whole strings are written at a time.
type guarded struct{ w io.Writer }

func (g guarded) Write(p []byte) (int, error) {
	if _, err := io.WriteString(g.w, harmless(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// steer writes a sequence of ours that moves the cursor or clears the screen, on a terminal.
func (a *app) steer(sequence string) {
	if g, ok := a.stdout.(guarded); ok {
		_, _ = io.WriteString(g.w, sequence)
	}
}

// ownSequences are what we write ourselves.
func ownSequences() []string {
	own := []string{"\x1b[0m"}
	for _, c := range []paint{green, red, yellow, grey, bold} {
		own = append(own, "\x1b["+string(c)+"m")
	}
	return own
}

// harmless writes control characters as text, and so those that change the direction of what follows.
func harmless(text string) string {
	clean := func(r rune) bool { return !steers(r) && r != utf8.RuneError }
	if !strings.ContainsFunc(text, func(r rune) bool { return !clean(r) }) {
		return text
	}
	own := ownSequences()
	var b strings.Builder
	for len(text) > 0 {
		if i := slices.IndexFunc(own, func(s string) bool { return strings.HasPrefix(text, s) }); i >= 0 {
			b.WriteString(own[i])
			text = text[len(own[i]):]
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case steers(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return b.String()
}

// oneLine writes line breaks as text, too: a key that has one does not look like two rows. Nor does it bring colours of its own.
func oneLine(text string) string {
	if strings.ContainsAny(text, "\n\r\t\x1b") {
		text = strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`, "\x1b", `\u001b`).Replace(text)
	}
	return harmless(text)
}

func steers(r rune) bool {
	switch r {
	case '\n', '\t', '\r':
		return false
	case '\u202a', '\u202b', '\u202c', '\u202d', '\u202e', '\u2066', '\u2067', '\u2068', '\u2069':
		return true
	}
	return unicode.IsControl(r)
}
