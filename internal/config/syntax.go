package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// repeated reports a name that is defined twice in a file.
func (d *document) repeated(r repeat, found *findings) {
	name := r.name.in(d.text)
	what, hint := "key "+strconv.Quote(name), "keep one of them"
	if r.whole != r.name {
		what, hint = "["+name+"]", "each table may be defined once: put all its keys below one header"
		if kind, sub, _ := strings.Cut(name, "."); !strings.Contains(sub, ".") {
			hint = onceHint(kind)
		}
	}
	found.add(d, r.whole, what+" is already defined in "+d.where(r.first.origin()), hint)
}

// where writes a place for people.
func (d *document) where(s span) string {
	line, column := d.position(s.start)
	return fmt.Sprintf("%s:%d:%d", d.file, line, column)
}

// onceHint says why a section may stand there only once.
func onceHint(kind string) string {
	if kind == kindSource || kind == kindWebhook {
		return fmt.Sprintf("each %s may be defined once; names are the key of the stored state", kind)
	}
	return "each table may be defined once, in one file"
}

// syntaxError reports what the library cannot read at offset at. It gives the range to blank out so that the rest can be
// read.
func (d *document) syntaxError(x *index, bad toml.ParseError, at int, found *findings) span {
	rest := x.text[at:lineEnd(x.text, at)]
	e, ok := x.at(at)
	if !ok || strings.Contains(x.text[min(e.span.end, at):at], "\n") { // in a comment, or in what is no expression at all
		message, hint := explain(bad.Message, "", rest)
		found.add(d, span{at, at + bad.Position.Len}, message, hint)
		return span{lineStart(x.text, at), at + len(rest)}
	}
	gone := x.brokenExtent(e, at)
	value := x.valueSpan(e, at)
	text := value.in(x.text)
	if secretName.MatchString(e.name.in(x.text)) && !e.header {
		d.secrets = append(d.secrets, span{value.start, gone.end})
		message, hint := explain(withoutEcho(bad.Message), "", rest)
		if bareWord(bad.Message, text) != "" {
			message, hint = "a text stands in quotes", referenceHint
		}
		found.add(d, markOf(bad, text, value, at, gone), message, hint)
		return gone
	}
	message, hint := explain(bad.Message, text, rest)
	found.add(d, markOf(bad, text, value, at, gone), message, hint)
	return gone
}

// markOf gives the range to point at.
func markOf(bad toml.ParseError, text string, value span, at int, gone span) span {
	switch word := bareWord(bad.Message, text); {
	case word != "":
		return span{value.start, value.start + len(word)}
	case strings.HasPrefix(text, `"""`) || strings.HasPrefix(text, "'''"):
		return span{value.start, value.start + 3}
	case unclosed(text) && gone.end <= at:
		return span{value.start, lineEnd(text, 0) + value.start}
	}
	if strings.Contains(bad.Message, "top-level item") && at >= value.start {
		rest := strings.TrimLeft(text[at-value.start:], " \t")
		return span{value.end - len(rest), max(value.end-len(rest)+len(strings.TrimSpace(rest)), at+1)}
	}
	return span{at, min(at+max(bad.Position.Len, 1), max(gone.end, at+1))}
}

// unclosed says whether a value of several lines begins like a list or a table.
func unclosed(value string) bool {
	return strings.Contains(value, "\n") && (value[0] == '[' || value[0] == '{')
}

// brokenExtent gives what to blank out for an error at offset at in an expression. A list that is not closed ends where the
// next line looks like an expression again.
func (x *index) brokenExtent(e expr, at int) span {
	end := lineEnd(x.text, at)
	if e.header {
		return span{e.span.start, max(end, x.nextHeader(e))}
	}
	if value := x.valueSpan(e, at).in(x.text); value == "" || value[0] != '[' && value[0] != '{' {
		return span{e.span.start, end}
	}
	begins := regexp.MustCompile(`^\s*(\[|[\w-]+\s*[.=]|("[^"]*"|'[^']*')\s*[.=]|#|$)`)
	if line := lineStart(x.text, at); line > e.span.start && begins.MatchString(x.text[line:end]) {
		return span{e.span.start, line - 1}
	}
	for end < len(x.text) && !begins.MatchString(x.text[end+1:lineEnd(x.text, end+1)]) {
		end = lineEnd(x.text, end+1)
	}
	return span{e.span.start, end}
}

// valueSpan gives what stands after "=", up to the end of the line of offset at.
func (x *index) valueSpan(e expr, at int) span {
	end := lineEnd(x.text, at)
	text := x.text[e.name.end:end]
	_, value, _ := strings.Cut(text, "=")
	return span{end - len(strings.TrimLeft(value, " \t")), end}
}

func lineStart(text string, at int) int { return strings.LastIndexByte(text[:at], '\n') + 1 }

func lineEnd(text string, at int) int {
	if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
		return at + i
	}
	return len(text)
}

func (x *index) nextHeader(of expr) int {
	i := slices.IndexFunc(x.exprs, func(e expr) bool { return e.header && e.span.start > of.span.start })
	if i < 0 {
		return len(x.text)
	}
	return x.exprs[i].span.start
}

// withoutEcho takes quoted parts of the text out of a message.
func withoutEcho(message string) string {
	return regexp.MustCompile(`"[^"]*"|'[^']*'`).ReplaceAllString(message, mask)
}

// explanation turns a message of the library into one for people.
type explanation struct {
	contains      string
	message, hint string
}

// explanations are tried in order; %s stands for the value when it is known.
func explanations() []explanation {
	return []explanation{
		{"strings cannot contain newlines", "the text is not closed", `put a quote at its end; """ begins a text of several lines`},
		{"expected '\"\"\"'", `the text is not closed`, `write """ where it ends`},
		{"expected \"'''\"", "the text is not closed", "write ''' where it ends"},
		{"unexpected EOF; expected '", "the text is not closed", "put a quote at its end"},
		{"unexpected EOF; expected \"", "the text is not closed", "put a quote at its end"},
		{"invalid escape", "this escape does not exist", `write \\ for a backslash, or put the text between single quotes`},
		{"hexadecimal digits after", "this escape is not complete", `write \\ for a backslash, or put the text between single quotes`},
		{"array terminator", "the list is not closed, or a comma is missing", `write ["a", "b"]`},
		{"inline table terminator", "the table is not closed, or a comma is missing", `write { kind = "page", size = 100 }`},
		{"unexpected comma", "there is a comma too many", "remove it"},
		{"end table name, but got '\\n'", "the table header is not complete", "write [source.NAME], with a name made of a-z, 0-9, _ and -"},
		{"to end table name", "this character cannot stand in a name without quotes", "write [source.NAME], with a name made of a-z, 0-9, _ and -"},
		{"table name", "the table header is not complete", "write [source.NAME], with a name made of a-z, 0-9, _ and -"},
		{"table array", "the table header is not complete", "write [source.NAME], with a name made of a-z, 0-9, _ and -"},
		{"key name appears blank", "there is no key before \"=\"", `write key = "value"`},
		{"key separator", "the key has no value", `write key = "value"`},
		{"expected '.' or '='", `after the key comes "="`, `write key = "value"`},
		{"expected value but found '\\n'", "the value is missing", `write key = "value", or remove the line`},
		{"already", "this is defined before", "keep one of them"},
		{"invalid UTF-8", "the file is not UTF-8", "save it in UTF-8"},
		{"NULL", "the file is not UTF-8", "save it in UTF-8"},
		{"control characters", "there is a control character in the file", `remove it, or write it as \uXXXX`},
		{"leading zeroes", "a number cannot begin with 0", "remove the zeros, or put it in quotes if it is a text"},
		{"followed by one or more digits", "a number cannot end with a point", "write 1.0, or 1"},
		{"out of range", "the number is too large", "put it in quotes if it is a text"},
		{"invalid datetime", "this is not a date", "put it in quotes if it is a text"},
	}
}

// explain gives a message of the library in the words of this project. What stands after "=" is value, and rest is what
// stands from the error on.
func explain(message, value, rest string) (what, hint string) {
	if word := bareWord(message, value); word != "" {
		if b := strings.ToLower(word); b == "true" || b == "false" {
			return word + " is not a value", "write " + b
		}
		return word + " is not a value: a text stands in quotes", fmt.Sprintf("write %q", word)
	}
	if strings.HasPrefix(value, "[") && strings.Contains(value, "\n") {
		return "the list is not closed, or a comma is missing", `write ["a", "b"]`
	}
	if r, _ := utf8.DecodeRuneInString(rest); r >= utf8.RuneSelf && strings.Contains(message, "expected '.' or '='") {
		return "this character cannot stand in a key without quotes", "put the key in quotes"
	}
	for _, e := range explanations() {
		if strings.Contains(message, e.contains) {
			return e.message, e.hint
		}
	}
	if strings.Contains(message, "top-level item") {
		return "there is more after the value", `write one key = value in a line, and a list as ["a", "b"]`
	}
	if strings.Contains(message, "expected value") {
		return "a value cannot begin like this", `write a text as "text", a number as 5, a list as ["a", "b"]`
	}
	return strings.ToLower(message[:1]) + message[1:], ""
}

// bareWord gives the value when it is a text without quotes.
func bareWord(message, value string) string {
	if !strings.Contains(message, "top-level item") && !strings.Contains(message, "expected value but found \"") {
		return ""
	}
	word, _, _ := strings.Cut(value, "#")
	word = strings.TrimSpace(word)
	if word == "" || strings.ContainsAny(word, "\"'[]{}=,\r") || strings.ContainsAny(word[:1], "+-") {
		return ""
	}
	return word
}
