package differ

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestAKeyIsTheExactText(t *testing.T) {
	for _, c := range []struct {
		keys   []string
		record string
		member string
		want   string
	}{
		{[]string{"id"}, `{"id":9007199254740993}`, "", "9007199254740993"},
		{[]string{"id"}, `{"id":12345678901234567890}`, "", "12345678901234567890"},
		{[]string{"id"}, `{"id":1.10}`, "", "1.10"},
		{[]string{"id"}, `{"id":-0}`, "", "-0"},
		{[]string{"id"}, `{"id":"007"}`, "", "007"},
		{[]string{"id"}, `{"id":"1"}`, "", "1"},
		{[]string{"id"}, `{"id":1}`, "", "1"},
		{[]string{"id"}, `{"id":true}`, "", "true"},
		{[]string{"id"}, `{"id":"a\u00e9\"\/\u2028"}`, "", "aé\"/\u2028"},
		{[]string{"id"}, `{"id":"<>&"}`, "", "<>&"},
		{[]string{"id"}, `{"id":"\ud83d\ude00"}`, "", "😀"},
		{[]string{"id"}, `{"id":1,"id":2}`, "", "1"},
		{[]string{"owner.id"}, `{"owner":{"id":5}}`, "", "5"},
		{[]string{"ids.0"}, `{"ids":["x","y"]}`, "", "x"},
		{[]string{"@this"}, `"x"`, "", "x"},
		{[]string{"tags.#"}, `{"tags":[1,2]}`, "", "2"},
		{[]string{"@key"}, `{}`, "name", "name"},
		{[]string{"client", "number"}, `{"client":"01","number":4711}`, "", `["01","4711"]`},
		{[]string{"a", "b"}, `{"a":"x\",\"y","b":"\u0007\\"}`, "", `["x\",\"y","\u0007\\"]`},
		{[]string{"a", "b"}, `{"a":"","b":"<é>"}`, "", `["","<é>"]`},
		{[]string{"@key", "id"}, `{"id":1}`, "k", `["k","1"]`},
	} {
		s := spec("", c.keys...)
		rec := Record{Raw: []byte(c.record)}
		if c.member != "" {
			rec.Member = []byte(c.member)
		}
		got, err := s.KeyOf(rec)
		if err != nil || got != c.want {
			t.Errorf("%s of %s: %q, %v", c.keys, c.record, got, err)
		}
		if b, err := s.AppendKey([]byte("before"), rec); err != nil || string(b) != "before"+c.want {
			t.Errorf("%s of %s: appended %q, %v", c.keys, c.record, b, err)
		}
		if len(c.keys) > 1 {
			var parts []string
			if err := json.Unmarshal([]byte(got), &parts); err != nil || len(parts) != len(c.keys) {
				t.Errorf("%s is not an array of texts: %v", got, err)
			}
		}
	}
	alone := Spec{Single: true}
	if got, err := alone.KeyOf(Record{Raw: []byte(`{}`)}); err != nil || got != "@this" {
		t.Errorf("single: %q, %v", got, err)
	}
}

func TestARecordWithoutAUsableKeyIsAnError(t *testing.T) {
	for _, c := range []struct {
		keys    []string
		record  Record
		kind    ValueKind
		problem string
	}{
		{[]string{"id"}, Record{Raw: []byte(`{"ID":1,"na\u006de":2}`)}, Missing, "missing"},
		{[]string{"id"}, Record{Raw: []byte(`{"id":null}`)}, Null, "null"},
		{[]string{"id"}, Record{Raw: []byte(`{"id":{}}`)}, Object, "an object"},
		{[]string{"id"}, Record{Raw: []byte(`{"id":[1]}`)}, Array, "an array"},
		{[]string{"id"}, Record{Raw: []byte(`{"id":""}`)}, String, "empty"},
		{[]string{"id"}, Record{Raw: []byte(`{"id":"\ud800"}`)}, String, "surrogate"},
		{[]string{"id"}, Record{Raw: []byte(`{"id":"a\u0000b"}`)}, String, "NUL"},
		{[]string{"id"}, Record{Raw: []byte("{\"id\":\"\xe9\"}")}, String, "UTF-8"},
		{[]string{"id"}, Record{Raw: []byte(`17`)}, Missing, "missing"},
		{[]string{"@key"}, Record{Raw: []byte(`{}`), Member: []byte{}}, String, "empty"},
		{[]string{"a", "b"}, Record{Raw: []byte(`{"a":1}`)}, Missing, "missing"},
		{nil, Record{Raw: []byte(`{"a":1}`)}, Missing, "not configured"},
	} {
		s := spec("", c.keys...)
		got, err := s.AppendKey([]byte("x"), c.record)
		bad, ok := errors.AsType[*KeyError](err)
		if !ok || bad.Kind != c.kind || !strings.Contains(bad.Problem, c.problem) || string(got) != "x" {
			t.Errorf("%s of %s: %q, %v", c.keys, c.record.Raw, got, err)
		}
	}
	_, err := new(Spec{Key: Paths{MustPath("id")}}).KeyOf(Record{Raw: []byte(`{"ID":1,"na\u006de":2}`)})
	bad, ok := errors.AsType[*KeyError](err)
	if !ok || strings.Join(bad.Members, " ") != "ID name" || !strings.Contains(bad.NextStep(), "ID, name") || !strings.Contains(bad.Error(), "id is missing") {
		t.Errorf("%v", err)
	}
	if (&KeyError{}).NextStep() != "" {
		t.Error("a next step without members")
	}
}

func TestTakingAKeyDoesNotAllocate(t *testing.T) {
	rec := Record{Raw: []byte(`{"name":"x","id":"A-17","n":4711}`)}
	buf := make([]byte, 0, 64)
	for _, s := range []Spec{spec("", "id"), spec("", "id", "n")} {
		if n := testing.AllocsPerRun(100, func() { buf, _ = s.AppendKey(buf[:0], rec) }); n != 0 {
			t.Errorf("%v: %v allocations", s.Key, n)
		}
	}
}
