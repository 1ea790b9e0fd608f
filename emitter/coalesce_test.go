package emitter

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
)

func shapeOf(t *testing.T, ignore ...string) *differ.Shape {
	t.Helper()
	var spec differ.Spec
	for _, path := range ignore {
		spec.Ignore = append(spec.Ignore, differ.MustPath(path))
	}
	shape, err := spec.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return shape
}

// step makes the event of a record that became another one; an empty text is no record.
func step(t *testing.T, shape *differ.Shape, sequence int64, was, is string) *Event {
	t.Helper()
	e := &Event{Source: "contacts", Type: "crm.contact", Sequence: sequence, At: time.UnixMilli(1_795_000_000_000 + sequence).UTC()}
	e.Change = differ.Change{Kind: differ.Updated, Key: `["01","7"]`, Record: []byte(is)}
	switch {
	case was == "":
		e.Change.Kind = differ.Created
	case is == "":
		e.Change.Kind, e.Change.Record = differ.Deleted, []byte(was)
	default:
		delta, err := shape.Diff([]byte(was), []byte(is))
		if err != nil {
			t.Fatal(err)
		}
		e.Change.Delta = delta
	}
	return e
}

// T32: what is left says what really happened between the state that the receiver knows and the present one.
func TestT32TwoEventsOfARecordBecomeTheOneThatTellsOfBoth(t *testing.T) {
	shape := shapeOf(t, "seen")
	for _, c := range []struct {
		name           string
		was, then, now string
		want           Merging
		data           string // of the merged event, behind its record
	}{
		{"two updates", `{"n":1,"s":"a"}`, `{"n":2,"s":"a"}`, `{"n":2,"s":"b"}`, Absorbed, `"previous":{"n":1,"s":"a"},"changed":["n","s"]`},
		{"the same member twice", `{"n":1.10}`, `{"n":2}`, `{"n":9007199254740993}`, Absorbed, `"previous":{"n":1.10},"changed":["n"]`},
		{"one change undone, one left", `{"n":1,"s":"a"}`, `{"n":2,"s":"b"}`, `{"n":1,"s":"b"}`, Absorbed, `"previous":{"s":"a"},"changed":["s"]`},
		{"a part, and then the whole", `{"o":{"a":1,"b":2}}`, `{"o":{"a":5,"b":2}}`, `{"o":null}`, Absorbed, `"previous":{"o":{"a":1,"b":2}},"changed":["o"]`},
		{"the whole, and then a part", `{"o":null}`, `{"o":{"a":1}}`, `{"o":{"a":2}}`, Absorbed, `"previous":{"o":null},"changed":["o"]`},
		{"what came and went", `{"n":1}`, `{"n":2,"x":1}`, `{"n":2}`, Absorbed, `"previous":{"n":1},"changed":["n"]`},
		{"all undone", `{"n":1,"s":"a"}`, `{"n":2,"s":"a"}`, `{"s":"a", "n":1}`, Cancelled, ""},
		{"undone but for what does not count", `{"n":1,"seen":1}`, `{"n":2,"seen":2}`, `{"n":1,"seen":3}`, Cancelled, ""},
		{"created and updated", "", `{"n":1}`, `{"n":2}`, Absorbed, ""},
		{"created and deleted", "", `{"n":1}`, "", Cancelled, ""},
		{"updated and deleted", `{"n":1}`, `{"n":2}`, "", Replaced, ""},
		{"deleted and created", `{"n":1}`, "", `{"n":2}`, Apart, ""},
	} {
		first, second := step(t, shape, 5, c.was, c.then), step(t, shape, 9, c.then, c.now)
		w := validWebhook()
		m, body := w.Merge(shape, "evt_1", EncodeStandard(nil, first), second)
		if m != c.want {
			t.Errorf("%s: %d, want %d", c.name, m, c.want)
			continue
		}
		if m != Absorbed {
			continue
		}
		want := `{"type":"` + first.EventType() + `","timestamp":"` + first.At.Format(eventTime) + `","data":{"source":"contacts","change":"` +
			first.Change.Kind.String() + `","key":"[\"01\",\"7\"]","sequence":5,"record":` + c.now
		if c.data != "" {
			want += "," + c.data
		}
		if want += "}}"; string(body) != want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, body, want)
		}
	}
}

// A snapshot tells of no step, and what is not known of a filtered webhook may be news to it.
func TestT32WhatMightBeNewsIsNotMergedAway(t *testing.T) {
	shape := shapeOf(t)
	snapshot := step(t, shape, 3, "", `{"n":1}`)
	snapshot.Change.Kind = differ.Snapshot
	update := step(t, shape, 4, `{"n":1}`, `{"n":2}`)
	back := step(t, shape, 5, `{"n":2}`, `{"n":1}`)
	other := step(t, shape, 6, `{"n":2}`, `{"n":3}`)
	other.Change.Key = "8"
	plain, choosy := validWebhook(), validWebhook()
	choosy.Events = []string{"*.updated"}
	for name, c := range map[string]struct {
		w             *Webhook
		first, second *Event
	}{
		"a snapshot and an update":              {&plain, snapshot, update},
		"an update and a snapshot":              {&plain, update, snapshot},
		"events of two records":                 {&plain, update, other},
		"a step back, for one that sees a part": {&choosy, update, back},
	} {
		if m, _ := c.w.Merge(shape, "evt_1", EncodeStandard(nil, c.first), c.second); m != Apart {
			t.Errorf("%s: %d", name, m)
		}
	}
	if m, _ := plain.Merge(shape, "evt_1", []byte(`{"no":"event"}`), back); m != Apart {
		t.Errorf("a body that is none: %d", m)
	}
}

func TestT32EachFormatGetsTheMergedEventUnderTheFirstId(t *testing.T) {
	shape := shapeOf(t)
	first, second := step(t, shape, 5, `{"n":1}`, `{"n":2}`), step(t, shape, 9, `{"n":2}`, `{"n":3.50}`)
	for format, want := range map[string]string{
		"cloudevents":        `"id":"evt_1"`,
		"cloudevents-binary": `"record":{"n":3.50},"previous":{"n":1}`,
		"record":             `{"n":3.50}`,
		"template":           `evt_1 5 {"n":1} [n]`,
	} {
		w := validWebhook()
		w.Format, w.ContentType = format, "text/plain"
		if err := w.Template.UnmarshalText([]byte("{{.ID}} {{.Sequence}} {{raw .Previous}} {{.Changed}}")); err != nil {
			t.Fatal(err)
		}
		m, body := w.Merge(shape, "evt_1", EncodeStandard(nil, first), second)
		if m != Absorbed || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s", format, body)
		}
		merged := *first
		merged.Change.Record = second.Change.Record
		merged.Change.Delta = differ.Delta{Previous: []byte(`{"n":1}`), Changed: []string{"n"}}
		if alone := w.Encode("evt_1", &merged); !bytes.Equal(body, alone) {
			t.Errorf("%s: merged %s, by itself %s", format, body, alone)
		}
	}
}

// A body is read back as what it was made of, byte for byte.
func TestABodyIsReadBackAsTheEventThatItWasMadeOf(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 2))
	shape := shapeOf(t)
	texts := []string{`{"a":1.10}`, `{ "a" : "<>&\u2028", "b.c":[1, 2]}`, `{"":null,"é":9007199254740993}`, `[]`, `"x"`, ``}
	for range 2000 {
		e := step(t, shape, g.Int64N(1<<53)+1, texts[g.IntN(len(texts))], texts[g.IntN(5)])
		e.Change.Key = []string{"", "1", `a"b`, "\u2028", `["x","y"]`}[g.IntN(5)]
		e.At = time.UnixMilli(g.Int64N(1 << 41)).UTC()
		body := EncodeStandard(nil, e)
		back, ok := parseStandard(body)
		if again := EncodeStandard(nil, &back); !ok || !bytes.Equal(body, again) {
			t.Fatalf("%s\nis read back as %s (%v)", body, again, ok)
		}
		if !json.Valid(body) {
			t.Fatalf("%s", body)
		}
	}
}

func TestCoalescingNeedsAnOrderThatAllowsIt(t *testing.T) {
	for order, problems := range map[string]int{"key": 0, "none": 0, "source": 1} {
		w := validWebhook()
		w.Coalesce, w.Order = true, order
		if p := w.Validate(testSecrets()); len(p) != problems {
			t.Errorf("order %s: %v", order, p)
		}
	}
}
