package scaffold

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/deltahook/deltahook/differ"
)

// quote writes a TOML string: literal where it has backslashes or quotes and may be, else basic.
func quote(s string) string {
	plain := !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
	if strings.ContainsAny(s, `\"`) && plain && !strings.Contains(s, "'") {
		return "'" + s + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// text writes a TOML string of several lines.
func text(s string) string {
	if !strings.Contains(s, "\n") || strings.Contains(s, "'''") || strings.ContainsAny(s, "\r\x00") {
		return quote(s)
	}
	return "'''\n" + strings.TrimSuffix(s, "\n") + "'''"
}

func quoteKey(name string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(name) {
		return name
	}
	return quote(name)
}

func quoteList[T fmt.Stringer](all []T) string {
	parts := make([]string, len(all))
	for i, v := range all {
		parts[i] = quote(v.String())
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// quotePaths writes one path as it is, and several as a list.
func quotePaths(paths []differ.Path) string {
	if len(paths) == 1 {
		return quote(paths[0].String())
	}
	return quoteList(paths)
}

// shownURL leaves out what may be secret.
func shownURL(text string) string {
	before, query, _ := strings.Cut(text, "?")
	if u, err := url.Parse(before); err == nil {
		before = u.Redacted()
	}
	if query != "" {
		before += "?…"
	}
	return before
}
