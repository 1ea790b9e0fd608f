package auth

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// template is a text with placeholders that stand for parts of a request, {name} or {name:argument}; {{name}} is the text {name}
// itself, and all other braces are literal. It is spelled as the placeholders of a source are, but has names of its own.
type template struct{ parts []part }

type part struct {
	text     string // literal, when name is empty
	name     string
	argument string
}

// templateError says where a template is wrong.
type templateError struct {
	problem string
	hint    string
	key     []string
}

func (e *templateError) Error() string { return e.problem }

// parseTemplate reads a text. Only a value that is sent may have the signature in it.
func parseTemplate(text string, sent bool, key ...string) (template, *templateError) {
	var t template
	var literal strings.Builder
	for i := 0; i < len(text); {
		p, end := placeholderAt(text, i)
		switch {
		case end == 0:
			literal.WriteByte(text[i])
			i++
		case i > 0 && text[i-1] == '{' && end < len(text) && text[end] == '}':
			literal.WriteString(text[i+1 : end]) // the first brace was written already
			i = end + 1
		default:
			if problem := p.problem(sent); problem != "" {
				return template{}, &templateError{problem: problem, hint: placeholderHint(sent), key: key}
			}
			t.parts = append(t.parts, part{text: literal.String()}, p)
			literal.Reset()
			i = end
		}
	}
	t.parts = append(t.parts, part{text: literal.String()})
	return t, nil
}

// placeholderAt gives the placeholder that begins at text[i] and the offset after it; 0 when none begins there.
func placeholderAt(text string, i int) (p part, end int) {
	if text[i] != '{' {
		return part{}, 0
	}
	inside, _, ok := strings.Cut(text[i+1:], "}")
	if !ok {
		return part{}, 0
	}
	name, argument, _ := strings.Cut(inside, ":")
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || name[0] >= '0' && name[0] <= '9' ||
		strings.ContainsAny(argument, "{\"\n") {
		return part{}, 0
	}
	return part{name: name, argument: argument}, i + len(inside) + 2
}

func plainNames() []string {
	return []string{"method", "path", "query", "uri", "host", "date", "timestamp", "timestamp_ms", "nonce", "body", "key_id"}
}

func placeholderHint(sent bool) string {
	names := plainNames()
	if sent {
		names = append(names, "signature")
	}
	return "placeholders are {" + strings.Join(names, "}, {") + "}, {sha256:body} and {header:NAME}; write {{name}} for the text itself"
}

func (p part) problem(sent bool) string {
	written := "{" + p.name + "}"
	if p.argument != "" {
		written = "{" + p.name + ":" + p.argument + "}"
	}
	switch {
	case p.name == "header":
		if !httpguts.ValidHeaderFieldName(p.argument) {
			return written + " does not name a header"
		}
		return ""
	case p.name == "signature" && !sent:
		return "{signature} cannot be a part of what is signed"
	case p.name == "signature" && p.argument == "", slices.Contains(plainNames(), p.name) && p.argument == "":
		return ""
	case slices.Contains(plainNames(), p.name), p.name == "signature":
		return written + " takes no argument"
	}
	if _, ok := digestOf(p.name, nil); ok {
		if p.argument != "body" {
			return written + " is not known: only {" + p.name + ":body} is"
		}
		return ""
	}
	return "unknown placeholder " + written
}

func (t template) has(name string) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.name == name })
}

// signedRequest is what the placeholders stand for.
type signedRequest struct {
	req       *http.Request
	body      []byte
	keyID     string
	at        time.Time
	nonce     string
	signature string
}

func (t template) render(v *signedRequest) string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.name != "" {
			b.WriteString(v.value(p))
		}
	}
	return b.String()
}

func (v *signedRequest) value(p part) string {
	switch p.name {
	case "method":
		return v.req.Method
	case "path":
		return or(v.req.URL.EscapedPath(), "/")
	case "query":
		return v.req.URL.RawQuery
	case "uri":
		return v.req.URL.RequestURI()
	case "host":
		return or(v.req.Host, v.req.URL.Host)
	case "date":
		return v.at.UTC().Format(http.TimeFormat)
	case "timestamp":
		return strconv.FormatInt(v.at.Unix(), 10)
	case "timestamp_ms":
		return strconv.FormatInt(v.at.UnixMilli(), 10)
	case "nonce":
		return v.nonce
	case "body":
		return string(v.body)
	case "key_id":
		return v.keyID
	case "signature":
		return v.signature
	case "header":
		return v.req.Header.Get(p.argument)
	}
	digest, _ := digestOf(p.name, v.body) // the name was checked
	return digest
}

func newNonce() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}
