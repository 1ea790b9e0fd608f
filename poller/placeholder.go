package poller

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// place says where in a request a placeholder stands, and so how its value is escaped.
type place uint8

const (
	inPlain place = iota
	inPath
	inQuery // also a form body
	inHeader
	inJSONText // between the quotes of a JSON string
	inJSON     // where a JSON value is expected
	inXML
)

// template is a text with placeholders, parsed once.
//
// A placeholder is {name} or {name:argument}, name in lower case. {{name}} stands for the literal text {name}. All other
// braces are literal, so a JSON body needs no escaping; no other character is special.
type template struct{ parts []part }

type part struct {
	text   string // literal, when name is empty
	name   string
	secret setting.Secret
	path   differ.Path // of {record.PATH}
	where  place
}

// values are what the placeholders of one request stand for.
type values struct {
	now       time.Time // start of the poll
	scheduled time.Time
	page      int
	offset    int
	cursor    string      // where the part of the listing begins that is asked for
	until     string      // and where it ends
	params    []pageParam // of the query, for these two
	secrets   *setting.Secrets
	key       string // of the record that is asked for
	record    []byte // the last that is known of it
	partition string
}

func placeholderNames() []string {
	return []string{"cursor", "key", "now", "offset", "page", "partition", "record", "scheduled_at", "secret", "until"}
}

// parseTemplate reads a text whose byte at an offset stands at the place that where gives.
func parseTemplate(text string, where func(offset int) place) (template, error) {
	var t template
	var literal strings.Builder
	for i := 0; i < len(text); {
		name, rest, end := placeholderAt(text, i)
		switch {
		case end == 0:
			literal.WriteByte(text[i])
			i++
		case i > 0 && text[i-1] == '{' && end < len(text) && text[end] == '}':
			// {{name}}: the first brace was written already.
			literal.WriteString(text[i+1 : end])
			i = end + 1
		default:
			p, err := newPart(name, rest, where(i))
			if err != nil {
				return template{}, err
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
func placeholderAt(text string, i int) (name, argument string, end int) {
	if text[i] != '{' {
		return "", "", 0
	}
	j := i + 1
	for j < len(text) && (text[j] >= 'a' && text[j] <= 'z' || text[j] == '_' || j > i+1 && text[j] >= '0' && text[j] <= '9') {
		j++
	}
	if j == i+1 || j == len(text) {
		return "", "", 0
	}
	name = text[i+1 : j]
	if text[j] == ':' || text[j] == '.' {
		n := strings.IndexAny(text[j:], "{}\"\n")
		if n < 0 || text[j+n] != '}' {
			return "", "", 0
		}
		return name, text[j : j+n], j + n + 1
	}
	if text[j] != '}' {
		return "", "", 0
	}
	return name, "", j + 1
}

func newPart(name, argument string, where place) (part, error) {
	written := "{" + name + argument + "}"
	if !slices.Contains(placeholderNames(), name) {
		return part{}, &setting.HintedError{
			Message: "unknown placeholder " + written,
			Hint:    fmt.Sprintf("placeholders are {now}, {scheduled_at}, {page}, {offset}, {cursor}, {until}, {partition}, {key}, {record.PATH} and {secret:env:NAME}; write {%s} for the text itself", written),
		}
	}
	if name == "record" {
		return newRecordPart(written, argument, where)
	}
	if name != "secret" {
		if argument != "" {
			return part{}, &setting.HintedError{Message: "placeholder " + written + " takes no argument", Hint: "write {" + name + "}"}
		}
		return part{name: name, where: where}, nil
	}
	ref := setting.NewSecret(strings.TrimPrefix(argument, ":"))
	_, of, _ := strings.Cut(strings.TrimPrefix(argument, ":"), ":")
	if !strings.HasPrefix(argument, ":") || ref.IsLiteral() || of == "" {
		return part{}, &setting.HintedError{
			Message: "placeholder {secret…} does not say where the secret is",
			Hint:    "write {secret:env:NAME}, {secret:file:/path} or {secret:cred:NAME}",
		}
	}
	return part{name: name, secret: ref, where: where}, nil
}

// always gives the same place for a whole text.
func always(p place) func(int) place { return func(int) place { return p } }

// uses says whether a placeholder of this name occurs.
func (t template) uses(name string) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.name == name })
}

// secretRefs lists the secrets that occur.
func (t template) secretRefs() []setting.Secret {
	var refs []setting.Secret
	for _, p := range t.parts {
		if p.name == "secret" {
			refs = append(refs, p.secret)
		}
	}
	return refs
}

// render fills the placeholders in.
func (t template) render(v values) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.name == "" {
			continue
		}
		text, err := v.value(p)
		if err != nil {
			return "", err
		}
		escaped, err := p.escape(text)
		if err != nil {
			return "", err
		}
		if p.name == "secret" && escaped != text && v.secrets != nil {
			v.secrets.Remember(escaped)
		}
		b.WriteString(escaped)
	}
	return b.String(), nil
}

func (v values) value(p part) (string, error) {
	switch p.name {
	case "now":
		return v.now.UTC().Format(time.RFC3339), nil
	case "scheduled_at":
		return v.scheduled.UTC().Format(time.RFC3339), nil
	case "page":
		return strconv.Itoa(v.page), nil
	case "offset":
		return strconv.Itoa(v.offset), nil
	case "cursor":
		return v.cursor, nil
	case "until":
		return v.until, nil
	case "key", "partition", "record":
		return v.ofRecord(p)
	}
	if v.secrets == nil { // the text is only checked
		return "0", nil
	}
	return v.secrets.Resolve(p.secret)
}

func (p part) escape(text string) (string, error) {
	switch p.where {
	case inPlain:
		return text, nil
	case inPath:
		return url.PathEscape(text), nil
	case inQuery:
		return url.QueryEscape(text), nil
	case inHeader:
		if !isSendable(text) {
			return "", errors.New("the value of {" + p.name + "} has a control character in it and cannot stand in a header")
		}
		return text, nil
	case inXML:
		var b strings.Builder
		err := xml.EscapeText(&b, []byte(text))
		return b.String(), err
	case inJSON, inJSONText:
		return p.escapeJSON(text)
	}
	return text, nil
}

// isNumber says whether a value that stands where JSON expects one is a number there.
func (p part) isNumber(text string) bool {
	switch p.name {
	case "page", "offset":
		return true
	case "cursor", "until":
		number, ok := wholeNumber(text)
		return ok && number == text
	}
	return false
}

func (p part) escapeJSON(text string) (string, error) {
	if p.where == inJSON && p.isNumber(text) {
		return text, nil
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return "", err
	}
	if p.where == inJSON {
		return string(quoted), nil
	}
	return string(quoted[1 : len(quoted)-1]), nil
}

// placesOfBody says how values are escaped in a body: as JSON, XML or a form when it is one, by its content type or, without
// one, by how it begins.
func placesOfBody(body, contentType string) func(offset int) place {
	kind, start := strings.ToLower(contentType), strings.TrimLeft(body, " \t\r\n")
	switch {
	case strings.Contains(kind, "json"), kind == "" && (strings.HasPrefix(start, "{") || strings.HasPrefix(start, "[")):
		return func(offset int) place {
			if insideString(body[:offset]) {
				return inJSONText
			}
			return inJSON
		}
	case strings.Contains(kind, "xml"), kind == "" && strings.HasPrefix(start, "<"):
		return always(inXML)
	case strings.Contains(kind, "x-www-form-urlencoded"):
		return always(inQuery)
	}
	return always(inPlain)
}

// insideString says whether a JSON text that breaks off here does so inside a string.
func insideString(text string) bool {
	inside := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			inside = !inside
		case '\\':
			if inside {
				i++
			}
		}
	}
	return inside
}
