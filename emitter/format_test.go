package emitter

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

func formatted(t *testing.T, format, template string) *Webhook {
	t.Helper()
	w := DefaultWebhook()
	w.Format = format
	if template != "" {
		if err := w.Template.UnmarshalText([]byte(template)); err != nil {
			t.Fatal(err)
		}
	}
	return &w
}

func change() *Event {
	return &Event{
		Source: "contacts", Type: "contacts", Sequence: 18233, At: time.Date(2026, 11, 23, 12, 0, 0, 123_456_789, time.UTC),
		Change: differ.Change{
			Kind: differ.Updated, Key: `4"7 ü`, Record: []byte(`{"id": 9007199254740993,"p":1.10,"name":"a\"<b>\u2028","o":{"x":null}}`),
			Delta: differ.Delta{Previous: []byte(`{"p":1.0}`), Changed: []string{"p"}},
		},
	}
}

const changeData = `{"source":"contacts","change":"updated","key":"4\"7 ü","sequence":18233,` +
	`"record":{"id": 9007199254740993,"p":1.10,"name":"a\"<b>\u2028","o":{"x":null}},"previous":{"p":1.0},"changed":["p"]}`

func TestEachFormatHasItsBodyWithTheRecordByteForByte(t *testing.T) {
	tests := []struct{ format, want, contentType string }{
		{"standard", "", "application/json"},
		{"record", string(change().Change.Record), "application/json"},
		{"cloudevents-binary", changeData, "application/json"},
		{
			"cloudevents", `{"specversion":"1.0","id":"evt_1","source":"/sources/contacts","type":"contacts.updated","subject":"4\"7 ü","time":"2026-11-23T12:00:00.123Z",` +
				`"sequence":"00000000000000018233","partitionkey":"4\"7 ü","datacontenttype":"application/json","data":` + changeData + `}`,
			"application/cloudevents+json; charset=utf-8",
		},
	}
	for _, tt := range tests {
		w := formatted(t, tt.format, "")
		if got := string(w.Encode("evt_1", change())); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.format, got, tt.want)
		}
		if w.contentType() != tt.contentType {
			t.Errorf("%s: %s", tt.format, w.contentType())
		}
	}
	if standard := string(EncodeStandard(nil, change())); !strings.HasSuffix(standard, `"data":`+changeData+"}") {
		t.Errorf("the data of the formats differ: %s", standard)
	}
	unknown := change()
	unknown.Change.Kind, unknown.Change.Record = differ.Deleted, nil
	if got := string(formatted(t, "record", "").Encode("evt_1", unknown)); got != "null" {
		t.Errorf("a record that is not known: %q", got)
	}
}

func TestAnEmptyKeyIsNoSubject(t *testing.T) {
	e := change()
	e.Change.Key = ""
	body := formatted(t, "cloudevents", "").Encode("evt_1", e)
	if !json.Valid(body) || strings.Contains(string(body), "subject") || strings.Contains(string(body), "partitionkey") {
		t.Errorf("%s", body)
	}
}

func TestTheHeadersOfTheBinaryModeAreEncodedAndAlwaysTheSame(t *testing.T) {
	d := Delivery{
		ID: "evt_1", Source: "contacts", Key: `4"7% ü` + "\n€", Type: "contacts.updated", Sequence: 18233,
		At: time.Date(2026, 11, 23, 13, 0, 0, 123_456_000, time.FixedZone("", 3600)),
	}
	want := map[string]string{
		"ce-specversion": "1.0", "ce-id": "evt_1", "ce-source": "/sources/contacts", "ce-type": "contacts.updated",
		"ce-subject": "4%227%25%20%C3%BC%0A%E2%82%AC", "ce-time": "2026-11-23T12:00:00.123Z", "ce-sequence": "00000000000000018233",
		"ce-partitionkey": "4%227%25%20%C3%BC%0A%E2%82%AC",
	}
	for attempts := range 3 {
		d.Attempts = attempts
		h := http.Header{}
		setEventHeaders(h, &d)
		if len(h) != len(want) {
			t.Errorf("headers %v", h)
		}
		for name, value := range want {
			if got := h[name]; len(got) != 1 || got[0] != value {
				t.Errorf("%s: %q, want %q", name, got, value)
			}
		}
	}
}

func TestATemplateFillsInTheEventAndEscapesIt(t *testing.T) {
	tests := []struct{ name, template, want string }{
		{"json", `{"k":{{json .Key}},"n":{{json .Sequence}},"c":{{json .Changed}}}`, `{"k":"4\"7 ü","n":18233,"c":["p"]}`},
		{"a path", `{"n":{{json .Record "name"}},"id":{{json .Record "id"}}}`, `{"n":"a\"<b>\u2028","id":9007199254740993}`},
		{"raw", `{{raw .Record}}`, string(change().Change.Record)},
		{"raw of nothing", `{{raw .Record "none"}}`, "null"},
		{"the first path that leads somewhere", `{{raw .Record "none" "p"}}`, "1.10"},
		{"text", `{"text":"{{text .Type}}: {{text .Record "name"}} was {{text .Previous "p"}}, {{text .Record "o.x"}}"}`, `{"text":"contacts.updated: a\"<b>` + "\u2028" + ` was 1.0, "}`},
		{"conditions", `{{if eq .Change "updated"}}{"id":{{json .ID}},"at":{{json .Timestamp}}}{{else}}{}{{end}}`, `{"id":"evt_1","at":"2026-11-23T12:00:00.123Z"}`},
		{"data", `{{raw .Data "key"}}`, `"4\"7 ü"`},
	}
	for _, tt := range tests {
		if got := string(formatted(t, "template", tt.template).Encode("evt_1", change())); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	w := formatted(t, "template", `{{.Key}}={{.Record}}`)
	w.ContentType = "text/plain; charset=utf-8"
	if got := string(w.Encode("evt_1", change())); got != change().Change.Key+"="+string(change().Change.Record) {
		t.Errorf("plain text: %s", got)
	}
}

// P3: the reason stands where the body would, so that the poll goes on and the event is parked.
func TestATemplateThatFailsOnAnEventParksIt(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": `{"k":{{.Key}}}`, "nothing": `{{if eq .Change "created"}}{}{{end}}`, "an index": `{{index .Changed 7}}`, "a wrong path": `{{json .Record "$.a"}}`,
	} {
		body := formatted(t, "template", text).Encode("evt_1", change())
		reason := unsendableReason(body)
		if !strings.HasPrefix(reason, "the template fails on this event: ") {
			t.Errorf("%s: %q", name, body)
		}
		s := &Sender{webhook: DefaultWebhook(), secrets: &setting.Secrets{}}
		if o := s.Send(t.Context(), Delivery{Body: body}); o.Class != Rejected || o.Reason != ReasonFormat || o.Error != reason {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestATemplateThatCannotWorkIsAConfigurationError(t *testing.T) {
	for name, text := range map[string]string{
		"syntax": `{{json .Key`, "a function": `{{env "HOME"}}`, "a field": `{{.Keys}}`, "a file": `{{template "x"}}`, "another function": `{{readFile "/etc/passwd"}}`,
	} {
		var tmpl Template
		if err := tmpl.UnmarshalText([]byte(text)); err == nil || !tmpl.IsZero() || setting.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheKeysOfFormatsAndStylesAreValidated(t *testing.T) {
	tmpl := func(w *Webhook) { w.Format = "template"; _ = w.Template.UnmarshalText([]byte("{}")) }
	tests := []struct {
		name      string
		edit      func(*Webhook)
		key, says string
		warning   bool
	}{
		{"no template", func(w *Webhook) { w.Format = "template" }, "template", "missing", false},
		{"a template without use", func(w *Webhook) { tmpl(w); w.Format = "record" }, "template", "belongs to", false},
		{"content type", func(w *Webhook) { tmpl(w); w.ContentType = "text plain" }, "content_type", "text plain", false},
		{"github", func(w *Webhook) { w.Sign = "github" }, "sign", "no timestamp", true},
		{"expired", func(w *Webhook) {
			w.Secret = append(w.Secret, setting.NewSecret("env:GONE").With("", time.Now().Add(-time.Hour)))
		}, "secret", "has expired", true},
		{"one signature", func(w *Webhook) { w.Sign = "slack"; w.Secret = append(w.Secret, w.Secret[0]) }, "secret", "room for one", true},
		{"no header", func(w *Webhook) { w.Sign = "template"; w.Signature.Content = "{ts}{body}" }, "signature.header", "not the name", false},
		{"no body", func(w *Webhook) { w.Sign = "template"; w.Signature.Header = "X"; w.Signature.Content = "{ts}" }, "signature.content", "no body", false},
		{"placeholder", func(w *Webhook) { w.Sign = "template"; w.Signature.Header = "X"; w.Signature.Content = "{time}{body}" }, "signature.content", "{time}", false},
		{"replay", func(w *Webhook) { w.Sign = "template"; w.Signature.Header = "X" }, "signature.content", "no timestamp", true},
		{"no digest", func(w *Webhook) { w.Sign = "rfc9421"; w.Signature.Components = []string{"@method"} }, "signature.components", "not signed", false},
		{"header of the style", func(w *Webhook) { w.Sign = "stripe"; w.Headers = map[string]string{"stripe-signature": "x"} }, "headers.stripe-signature", "itself", false},
	}
	for _, tt := range tests {
		w := validWebhook()
		tt.edit(&w)
		problems := w.Validate(testSecrets())
		if len(problems) != 1 || strings.Join(problems[0].Key, ".") != tt.key || !strings.Contains(problems[0].Message, tt.says) || problems[0].Warning != tt.warning {
			t.Errorf("%s: %+v", tt.name, problems)
		}
	}
}

// A notice says the same in every format, and nothing that only a change of a record has.
func TestANoticeIsAnEventOfNoRecord(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 123_000_000, time.UTC)
	e := Notice("deltahook.ping", at, []byte(`{"webhook":"app"}`))
	if got := string(EncodeStandard(nil, e)); got != `{"type":"deltahook.ping","timestamp":"2026-11-23T12:00:00.123Z","data":{"webhook":"app"}}` {
		t.Errorf("standard: %s", got)
	}
	for format, want := range map[string]string{
		formatStructured: `{"specversion":"1.0","id":"evt_1","source":"/deltahook","type":"deltahook.ping","time":"2026-11-23T12:00:00.123Z",` +
			`"datacontenttype":"application/json","data":{"webhook":"app"}}`,
		formatBinary:   `{"webhook":"app"}`,
		formatRecord:   `{"webhook":"app"}`,
		formatTemplate: `deltahook.ping "" app {"webhook":"app"}`,
	} {
		w := formatted(t, format, `{{.Type}} {{json .Change}} {{text .Data "webhook"}} {{raw .Record}}`)
		w.ContentType = "text/plain"
		if got := string(w.Encode("evt_1", e)); got != want {
			t.Errorf("%s: %s", format, got)
		}
	}
	d := Delivery{ID: "evt_1", Type: e.EventType(), At: at}
	h := http.Header{}
	setRecordHeaders(h, &d)
	setEventHeaders(h, &d)
	for _, name := range []string{"deltahook-sequence", "ce-sequence", "ce-subject", "ce-partitionkey"} {
		if _, there := h[name]; there {
			t.Errorf("%s: %s", name, h[name])
		}
	}
	if exactly(h, "ce-source") != "/deltahook" || exactly(h, "deltahook-event") != "deltahook.ping" {
		t.Errorf("headers %v", h)
	}
}
