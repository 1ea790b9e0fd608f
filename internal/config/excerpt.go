package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	mask     = "(secret)"
	maxShown = 140 // characters of a source line
)

// position turns an offset into a line and a column, both from 1; the column counts characters.
func (d *document) position(offset int) (line, column int) {
	before := d.text[:min(offset, len(d.text))]
	start := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[start:]) + 1
}

// excerpt shows the line where at begins, with the part of at that stands on it marked, and without secrets.
func (d *document) excerpt(number int, at span) string {
	start := strings.LastIndexByte(d.text[:at.start], '\n') + 1
	line := d.text[start:]
	if i := strings.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	line = strings.TrimRight(line, "\r")
	var hidden []span
	for _, s := range d.secrets {
		if s.start < start+len(line) && s.end > start {
			hidden = append(hidden, span{max(s.start-start, 0), min(s.end-start, len(line))})
		}
	}
	from := min(at.start-start, len(line))
	to := min(max(at.end-start, from), len(line))
	shown, mark := hide(line, append(hidden, suspicious(line)...), span{from, to})
	shown, mark = window(shown, mark)
	carets := strings.Repeat("^", max(1, utf8.RuneCountInString(shown[mark.start:mark.end])))
	return strings.TrimRight(fmt.Sprintf("%5d | %s", number, clean(shown)), " ") + "\n      | " + indent(shown[:mark.start]) + carets
}

// indent is as wide as text, however wide its tabs are shown.
func indent(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, text)
}

// clean keeps control characters of a file from the terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' && r != '\n' || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}

// hide replaces ranges of a line by a mask and moves the mark along.
func hide(line string, ranges []span, mark span) (string, span) {
	slices.SortFunc(ranges, func(a, b span) int { return a.start - b.start })
	var out strings.Builder
	pos, moved := 0, mark
	for _, r := range ranges {
		if r.end <= pos || r.start >= r.end {
			continue
		}
		r.start = max(r.start, pos)
		out.WriteString(line[pos:r.start])
		begin := out.Len()
		out.WriteString(mask)
		pos = r.end
		moved.start = shift(moved.start, mark.start, r, begin, out.Len())
		moved.end = shift(moved.end, mark.end, r, out.Len(), out.Len())
	}
	out.WriteString(line[pos:])
	return out.String(), moved
}

// shift gives where an offset of the line stands after range r became the text that begins at begin and ends at end.
func shift(moved, offset int, r span, begin, end int) int {
	switch {
	case offset >= r.end:
		return end + offset - r.end
	case offset > r.start:
		return begin
	}
	return moved
}

// window cuts a long line to the part around the mark.
func window(line string, mark span) (string, span) {
	runes := utf8.RuneCountInString(line)
	if runes <= maxShown {
		return line, mark
	}
	const lead = 40
	from := max(0, utf8.RuneCountInString(line[:mark.start])-lead)
	from = min(from, runes-maxShown)
	start, end := runeOffset(line, from), runeOffset(line, from+maxShown)
	head, tail := "", ""
	if start > 0 {
		head = "…"
	}
	if end < len(line) {
		tail = "…"
	}
	return head + line[start:end] + tail, span{mark.start - start + len(head), min(mark.end, end) - start + len(head)}
}

// runeOffset gives the offset of the n-th character.
func runeOffset(text string, n int) int {
	for i := range text {
		if n == 0 {
			return i
		}
		n--
	}
	return len(text)
}

// suspicious finds what may be a secret in a line, whatever the configuration makes of it: the line of an unknown key or
// of a syntax error is shown too.
func suspicious(line string) []span {
	var out []span
	if !mayTell(line) {
		return embedded(line)
	}
	for _, m := range secretAssignment.FindAllStringSubmatchIndex(line, -1) {
		value := strings.Trim(line[m[2]:m[3]], `"'`)
		if !isReference(value) && value != "" {
			out = append(out, span{m[2], m[3]})
		}
	}
	return append(out, embedded(line)...)
}

// looksSecret says whether a key, to judge by its name, holds a secret; also when it is misspelt.
func looksSecret(name string) bool {
	return tells(name) || Suggest(name, []string{"secret", "password", "passphrase", "authorization", "credential", "apikey"}) != ""
}

// scrubText takes passwords in URLs and headers out of a sentence.
func scrubText(text string) string {
	text, _ = hide(text, embedded(text), span{})
	return text
}

// embedded finds secrets inside URLs and the values of headers.
func embedded(text string) []span {
	var out []span
	for _, r := range mayHold(text) {
		for _, m := range r.FindAllStringSubmatchIndex(text, -1) {
			if found := text[m[2]:m[3]]; !isReference(found) && !isReference(strings.TrimPrefix(found, "{")) {
				out = append(out, span{m[2], m[3]})
			}
		}
	}
	return out
}

// mayHold gives those of the expressions that may find something.
func mayHold(text string) (list []*regexp.Regexp) {
	if strings.Contains(text, "@") {
		list = append(list, userinfo)
	}
	if hasWord(text, "bearer", "basic") {
		list = append(list, credentials)
	}
	if mayTell(text) {
		list = append(list, queryParameter)
	}
	return list
}

// scrub takes what looks like a secret out of a text.
func scrub(text string) string {
	if !strings.ContainsAny(text, "=: \t\r\n\f") { // each of what looks like one has one of these
		return text
	}
	text, _ = hide(text, suspicious(text), span{})
	return text
}

// tells says whether a name tells of a secret.
func tells(name string) bool { return mayTell(name) && secretName.MatchString(name) }

// mayTell says quickly that no word in a text tells of a secret: very many texts are asked for.
func mayTell(text string) bool {
	return hasWord(text, "secret", "passw", "passphrase", "token", "authorization", "cookie", "credential", "api", "access", "private", "signature")
}

// hasWord says whether one of the words is in a text, in whatever case. It may be in every text that has other than ASCII characters,
// because some of these are a letter in another case.
func hasWord(text string, words ...string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return true
		}
	}
	text = strings.ToLower(text)
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}

// secretAssignment finds the values of keys, headers and query parameters whose name tells of a secret.
var secretAssignment = regexp.MustCompile(`(?i)[\w-]*` + secretWord + `[\w-]*["']?\s*[=:]\s*("(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s"'\[{&][^\s,}\]&"']*)`)

var secretName = regexp.MustCompile(`(?i)` + secretWord)

const secretWord = `(?:secret|passw(?:or)?d|passphrase|token|authorization|cookie|credential|api[-_]?key|access[-_]?key|private[-_]?key|signature)`

// userinfo finds the password in a URL.
var userinfo = regexp.MustCompile(`://[^/\s"'@:]*:([^/\s"'@]+)@`)

// queryParameter finds the values of parameters of a URL whose name tells of a secret.
var queryParameter = regexp.MustCompile(`(?i)[?&][\w-]*` + secretWord + `[\w-]*=([^&\s"'#]+)`)

// credentials finds the value of an Authorization header.
var credentials = regexp.MustCompile(`(?i)\b(?:bearer|basic)\s+([\w.~+/=-]{6,})`)

// isReference says whether a text shows where a secret is and not the secret itself.
func isReference(text string) bool {
	for _, kind := range []string{"env:", "file:", "cred:"} {
		if strings.HasPrefix(text, kind) {
			return true
		}
	}
	return strings.Contains(text, "{secret:")
}
