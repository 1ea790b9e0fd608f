package emitter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
	"time"

	template "github.com/DataDog/datadog-agent/pkg/template/text"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// Template is a body to be filled in, a text/template. Besides what the language has there are three functions, each of a
// value and optional gjson paths into it, of which the first that leads somewhere counts:
//
//	json   the value as JSON, escaped if need be: a string gets its quotes
//	raw    JSON as it is, byte for byte; null when there is none
//	text   the value as text inside a JSON string, without the quotes
//
// There is no way to environment, files or network. The zero value is none.
type Template struct {
	text string
	made *template.Template
}

// UnmarshalText parses the template.
func (t *Template) UnmarshalText(text []byte) error {
	made, err := template.New("template").Option("missingkey=error").Funcs(templateFuncs()).Parse(string(text))
	if err == nil {
		err = probe(made)
	}
	if err != nil {
		return &setting.HintedError{
			Message: strings.TrimSuffix(strings.TrimPrefix(err.Error(), "template: template:"), " in type emitter.templateEvent"), Hint: `write {{json .Record "name"}}, with the events as docs/receivers.md has them`,
		}
	}
	t.text, t.made = string(text), made
	return nil
}

// MarshalText gives the template as it was written.
func (t Template) MarshalText() ([]byte, error) { return []byte(t.text), nil }

// IsZero says whether there is none.
func (t Template) IsZero() bool { return t.made == nil }

// templateEvent is what a template can speak of.
type templateEvent struct {
	ID, Type, Source, Change, Key, Timestamp string

	Sequence         int64
	Record, Previous jsonText
	Changed          []string
	Data             jsonText // the member data of the format "standard"
}

// jsonText is JSON that is spliced in; it prints as it is.
type jsonText string

// probe runs the template once, to find fields and templates that do not exist: the language looks for them when they are needed only.
func probe(made *template.Template) error {
	err := made.Execute(&limited{left: maxRendered}, templateEvent{Record: "{}", Previous: "{}", Data: "{}", Changed: []string{""}})
	if err != nil && (strings.Contains(err.Error(), "can't evaluate field") || strings.HasSuffix(err.Error(), "not defined")) {
		return err
	}
	return nil
}

func templateFuncs() template.FuncMap {
	return template.FuncMap{
		"json": func(v any, paths ...string) (string, error) {
			found, err := lookup(v, paths)
			return string(found), err
		},
		"raw": func(v jsonText, paths ...string) (string, error) {
			found, err := lookup(v, paths)
			return string(found), err
		},
		"text": func(v any, paths ...string) (string, error) {
			found, err := lookup(v, paths)
			if err != nil || string(found) == "null" {
				return "", err
			}
			quoted := appendString(nil, differ.Value{Raw: found}.Text())
			return string(quoted[1 : len(quoted)-1]), nil
		},
	}
}

// lookup gives the JSON of a value, or of what is in it.
func lookup(v any, paths []string) ([]byte, error) {
	doc, err := jsonOf(v)
	if err != nil || len(paths) == 0 {
		return doc, err
	}
	for _, text := range paths {
		path, err := differ.ParsePath(text)
		if err != nil {
			return nil, err
		}
		if found := path.Get(doc); found.Exists() {
			return found.Raw, nil
		}
	}
	return []byte("null"), nil
}

func jsonOf(v any) ([]byte, error) {
	switch v := v.(type) {
	case jsonText:
		return appendRaw(nil, []byte(strings.TrimSpace(string(v))), "null"), nil
	case string:
		return appendString(nil, v), nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return raw, nil
}

// maxRendered bounds what a template makes of one event, in bytes.
const maxRendered = 64 << 20

var errRendered = errors.New("the template makes more than 64 MiB of one event")

// limited is a buffer that refuses more than left.
type limited struct {
	bytes.Buffer

	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errRendered
	}
	return l.Buffer.Write(p)
}

// unsendable marks a body that could not be made: no JSON and no text begins with it. The rest is the reason.
const unsendable = "\x00deltahook: "

// unsendableReason says why a body cannot be sent; empty when it can.
func unsendableReason(body []byte) string {
	reason, ok := bytes.CutPrefix(body, []byte(unsendable))
	if !ok {
		return ""
	}
	return string(reason)
}

// encodeTemplate fills in the template. A template that fails on an event must stop neither the poll nor other webhooks: the
// reason is committed in place of the body, and the event is parked with it.
func encodeTemplate(w *Webhook, dst []byte, id string, e *Event) []byte {
	body, err := w.Template.render(id, e)
	if err == nil && w.isJSON() && !json.Valid(body) {
		err = errors.New("what it makes is not valid JSON; use the functions json, raw and text")
	}
	if err == nil && len(body) == 0 {
		err = errors.New("it makes nothing")
	}
	if err == nil && unsendableReason(body) != "" {
		err = errors.New("what it makes begins with a mark of deltahook's own")
	}
	if err != nil {
		return append(dst, unsendable+"the template fails on this event: "+strings.TrimPrefix(err.Error(), "template: template:")...)
	}
	return append(dst, body...)
}

func (t *Template) render(id string, e *Event) ([]byte, error) {
	if t.made == nil {
		return nil, errors.New("there is none")
	}
	out := limited{left: maxRendered}
	event := templateEvent{
		ID: id, Type: e.EventType(), Source: e.Source, Change: e.change(), Key: e.Change.Key, Sequence: e.Sequence,
		Timestamp: e.At.UTC().Truncate(time.Millisecond).Format(eventTime), Record: jsonText(appendRaw(nil, e.Change.Record, "null")),
		Previous: jsonText(appendRaw(nil, e.Change.Delta.Previous, "{}")), Changed: e.Change.Delta.Changed, Data: jsonText(appendData(nil, e)),
	}
	if err := t.made.Execute(&out, event); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// isJSON says whether the body has to be JSON.
func (w *Webhook) isJSON() bool {
	kind, _, err := mime.ParseMediaType(w.contentType())
	return err == nil && (kind == typeJSON || strings.HasSuffix(kind, "+json"))
}
