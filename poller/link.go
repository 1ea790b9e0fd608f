package poller

import (
	"net/url"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/outbound"
)

// link is one link of a Link header field (RFC 8288, section 3).
type link struct {
	target string
	rels   []string // in lower case
	anchor bool     // it is about another resource than the answer
	empty  bool     // nothing is there: results="false", as Sentry says behind its last page, whose link it gives all the same
}

// nextLink gives the target of the first link with the relation type "next", resolved against base. Without one,
// found is false. Links about other resources (with an anchor) do not count.
func nextLink(fields []string, base *url.URL) (next *url.URL, found bool, err error) {
	for _, field := range fields {
		for _, l := range parseLinks(field) {
			if l.anchor || l.empty || !l.is("next") {
				continue
			}
			u, err := outbound.ParseURL(strings.TrimSpace(l.target))
			if err != nil {
				return nil, true, err
			}
			u = base.ResolveReference(u)
			u.Fragment, u.RawFragment = "", ""
			return u, true, nil
		}
	}
	return nil, false, nil
}

func (l link) is(rel string) bool {
	return slices.Contains(l.rels, rel)
}

// parseLinks reads one field: <target>; name=value; name="value", <target>… . Text that is no link is skipped up to the
// next comma outside of quotes, as RFC 8288, appendix B, asks for.
func parseLinks(field string) []link {
	var links []link
	s := linkScanner{rest: field}
	for s.more() {
		l, ok := s.link()
		if ok {
			links = append(links, l)
		}
		s.skipToComma()
	}
	return links
}

type linkScanner struct{ rest string }

const linkSpace = " \t\r\n"

// more skips what may stand between links and says whether anything is left.
func (s *linkScanner) more() bool {
	s.rest = strings.TrimLeft(s.rest, linkSpace+",")
	return s.rest != ""
}

func (s *linkScanner) link() (link, bool) {
	if s.rest[0] != '<' {
		return link{}, false
	}
	end := strings.IndexByte(s.rest, '>')
	if end < 0 {
		s.rest = ""
		return link{}, false
	}
	l := link{target: s.rest[1:end]}
	s.rest = s.rest[end+1:]
	seen := false
	for {
		name, value, ok := s.param()
		switch {
		case !ok:
			return l, true
		case name == "rel" && !seen: // only the first one counts (section 3.3)
			seen = true
			l.rels = strings.Fields(strings.ToLower(value))
		case name == "anchor":
			l.anchor = value != ""
		case name == "results":
			l.empty = strings.EqualFold(value, "false")
		}
	}
}

// param reads "; name=value". Names are case-insensitive; a value may be missing, a token or a quoted string.
func (s *linkScanner) param() (name, value string, ok bool) {
	s.rest = strings.TrimLeft(s.rest, linkSpace)
	if !strings.HasPrefix(s.rest, ";") {
		return "", "", false
	}
	s.rest = strings.TrimLeft(s.rest[1:], linkSpace)
	end := strings.IndexAny(s.rest, linkSpace+"=;,")
	if end < 0 {
		end = len(s.rest)
	}
	name, s.rest = strings.ToLower(s.rest[:end]), strings.TrimLeft(s.rest[end:], linkSpace)
	if !strings.HasPrefix(s.rest, "=") {
		return name, "", true
	}
	s.rest = strings.TrimLeft(s.rest[1:], linkSpace)
	if strings.HasPrefix(s.rest, `"`) {
		return name, s.quoted(), true
	}
	end = strings.IndexAny(s.rest, linkSpace+";,")
	if end < 0 {
		end = len(s.rest)
	}
	value, s.rest = s.rest[:end], s.rest[end:]
	return name, value, true
}

// quoted reads a quoted string (RFC 9110, section 5.6.4); one that does not end goes to the end of the field.
func (s *linkScanner) quoted() string {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			s.rest = s.rest[i+1:]
			return b.String()
		case c == '\\' && i+1 < len(s.rest):
			i++
			b.WriteByte(s.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	s.rest = ""
	return b.String()
}

func (s *linkScanner) skipToComma() {
	for s.rest != "" && s.rest[0] != ',' {
		if s.rest[0] == '"' {
			s.quoted()
			continue
		}
		s.rest = s.rest[1:]
	}
}
