package emitter

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/deltahook/deltahook/differ"
)

func sampleEvent() *Event {
	return &Event{
		Source: "contacts", Type: "contacts", Sequence: 18233, At: time.Date(2026, 11, 23, 13, 0, 0, 123_900_000, time.FixedZone("", 3600)),
		Change: differ.Change{
			Kind: differ.Updated, Key: "4711", Record: []byte(`{"b":1.10,"a":9007199254740993}`),
			Delta: differ.Delta{Previous: []byte(`{"status":"new","owner.name":"Ann"}`), Changed: []string{"owner.name", "status"}},
		},
	}
}

func TestTheEnvelopeIsTheOneOfTheContract(t *testing.T) {
	tests := []struct {
		name string
		edit func(*Event)
		want string
	}{
		{"updated", func(*Event) {}, `{"type":"contacts.updated","timestamp":"2026-11-23T12:00:00.123Z","data":{"source":"contacts","change":"updated","key":"4711","sequence":18233,` +
			`"record":{"b":1.10,"a":9007199254740993},"previous":{"status":"new","owner.name":"Ann"},"changed":["owner.name","status"]}}`},
		{"updated, nothing existed before", func(e *Event) { e.Change.Delta = differ.Delta{Changed: []string{"a"}} }, `{"type":"contacts.updated","timestamp":"2026-11-23T12:00:00.123Z","data":{"source":"contacts","change":"updated","key":"4711","sequence":18233,` +
			`"record":{"b":1.10,"a":9007199254740993},"previous":{},"changed":["a"]}}`},
		{"created has no previous", func(e *Event) { e.Change.Kind = differ.Created }, `{"type":"contacts.created","timestamp":"2026-11-23T12:00:00.123Z","data":{"source":"contacts","change":"created","key":"4711","sequence":18233,` +
			`"record":{"b":1.10,"a":9007199254740993}}}`},
		{"composite key, type of its own", func(e *Event) {
			e.Change.Kind, e.Change.Key, e.Type = differ.Deleted, `["01","4711"]`, "crm.contact"
		}, `{"type":"crm.contact.deleted","timestamp":"2026-11-23T12:00:00.123Z","data":{"source":"contacts","change":"deleted","key":"[\"01\",\"4711\"]","sequence":18233,` +
			`"record":{"b":1.10,"a":9007199254740993}}}`},
		{"record not known", func(e *Event) { e.Change.Kind, e.Change.Record = differ.Snapshot, nil }, `{"type":"contacts.snapshot","timestamp":"2026-11-23T12:00:00.123Z","data":{"source":"contacts","change":"snapshot","key":"4711","sequence":18233,"record":null}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := sampleEvent()
			tt.edit(e)
			if got := string(EncodeStandard(nil, e)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// The bytes of a record survive: number text, key order, escapes and what JSON encoders like to change.
func TestRecordBytesPassThroughUntouched(t *testing.T) {
	record := `{ "z":9007199254740993, "a":1.10,"h":"<>&","u":"\u2028","dup":1,"dup":2}`
	e := sampleEvent()
	e.Change.Record = []byte(record)
	body := EncodeStandard([]byte("prefix"), e)
	if !bytes.HasPrefix(body, []byte("prefix{")) || !bytes.Contains(body, []byte(`"record":`+record+`,`)) {
		t.Fatalf("body %s", body)
	}
}

func TestAnIDIsStableAndNamesOneEventOfOneStore(t *testing.T) {
	seed := differ.Seed{1}
	id := sampleEvent().ID(seed)
	if !regexp.MustCompile(`^evt_[0-7][0-9A-HJKMNP-TV-Z]{25}$`).MatchString(id) {
		t.Fatalf("id %q", id)
	}
	if again := sampleEvent().ID(seed); again != id {
		t.Fatalf("the same event has the ids %s and %s", id, again)
	}
	edits := map[string]func(*Event){
		"source":   func(e *Event) { e.Source = "other" },
		"sequence": func(e *Event) { e.Sequence++ },
		"key":      func(e *Event) { e.Change.Key = "4712" },
		"change":   func(e *Event) { e.Change.Kind = differ.Deleted },
		"record":   func(e *Event) { e.Change.Record = []byte(`{}`) },
		"time":     func(e *Event) { e.At = e.At.Add(time.Millisecond) },
		"split":    func(e *Event) { e.Source, e.Change.Key = e.Source+"4", "711" },
	}
	for name, edit := range edits {
		e := sampleEvent()
		edit(e)
		if e.ID(seed) == id {
			t.Errorf("another %s, the same id", name)
		}
	}
	if sampleEvent().ID(differ.Seed{2}) == id {
		t.Error("another store, the same id")
	}
}

func TestIDsSortByTimeAndCarryIt(t *testing.T) {
	at := time.UnixMilli(1_763_899_200_000)
	early, late := NewID(at, []byte("z")), NewID(at.Add(time.Millisecond), []byte("a"))
	if early >= late {
		t.Fatalf("%s does not sort before %s", early, late)
	}
	// 1,763,899,200,000 ms in ten digits of Crockford's base 32, as a ULID has it.
	if want := "evt_01KAR9BMG0"; early[:14] != want {
		t.Fatalf("id %s does not begin with %s", early, want)
	}
}

// T24: the signed content joins id, timestamp and body with dots.
func TestT24AnIDHasNoDot(t *testing.T) {
	for i := range 1000 {
		if id := NewID(time.UnixMilli(int64(i)*7919), []byte{byte(i), byte(i >> 8)}); !regexp.MustCompile(`^[A-Za-z0-9_]+$`).MatchString(id) {
			t.Fatalf("id %q", id)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	for _, record := range []string{`{}`, `{"a":9007199254740993}`, `[1.10]`, `"\u2028<>&"`, `{"a":1,"a":2}`, ` {"x" : null } `} {
		f.Add("contacts", "k\"\x00\\", record, "owner.name", uint8(2))
	}
	f.Fuzz(func(t *testing.T, source, key, record, path string, kind uint8) {
		if !json.Valid([]byte(record)) {
			t.Skip()
		}
		e := &Event{
			Source: source, Type: source, Sequence: 7, At: time.UnixMilli(1),
			Change: differ.Change{Kind: differ.Kind(kind%4 + 1), Key: key, Record: []byte(record), Delta: differ.Delta{Changed: []string{path}}},
		}
		body := EncodeStandard(nil, e)
		if !json.Valid(body) || !utf8.Valid(body) && utf8.ValidString(record) {
			t.Fatalf("not JSON: %s", body)
		}
		if !bytes.Contains(body, append([]byte(`"record":`), record...)) {
			t.Fatalf("the record %s is not in %s", record, body)
		}
		var wire struct {
			Data struct {
				Key string `json:"key"`
			} `json:"data"`
		}
		if err := json.Unmarshal(body, &wire); err != nil || wire.Data.Key != strings.ToValidUTF8(key, "\uFFFD") && utf8.ValidString(key) {
			t.Fatalf("key %q came out as %q (%v)", key, wire.Data.Key, err)
		}
		if !bytes.Equal(body, EncodeStandard(nil, e)) {
			t.Fatal("two encodings differ")
		}
	})
}
