package differ

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

func TestADeltaTellsWhatChanged(t *testing.T) {
	for _, c := range []struct {
		name     string
		spec     Spec
		old, new string
		changed  string
		previous string
	}{
		{"nothing", Spec{}, `{"a":1,"b":[1]}`, `{"b":[1], "a":1}`, `[]`, ``},
		{
			"as in the contract",
			Spec{},
			`{"id":1,"status":"new","owner":{"name":"Ann","id":2}}`, `{"id":1,"status":"open","owner":{"name":"Bob","id":2}}`,
			`[owner.name status]`, `{"status":"new","owner.name":"Ann"}`,
		},
		{"member added", Spec{}, `{"a":1}`, `{"a":1,"b":{"c":2}}`, `[b]`, `{}`},
		{"member gone", Spec{}, `{"a":1,"b":{ "c" : 2 }}`, `{"a":1}`, `[b]`, `{"b":{ "c" : 2 }}`},
		{"added and gone and different", Spec{}, `{"a":1,"b":2,"c":3}`, `{"d":4,"c":5,"a":1}`, `[b c d]`, `{"b":2,"c":3}`},
		{"order of the old record", Spec{}, `{"z":1,"y":2,"x":3}`, `{"x":0,"y":0,"z":0}`, `[x y z]`, `{"z":1,"y":2,"x":3}`},
		{"arrays as a whole", Spec{}, `{"l":[1,{"a":1}]}`, `{"l":[1,{"a":2}]}`, `[l]`, `{"l":[1,{"a":1}]}`},
		{"object to scalar", Spec{}, `{"o":{"a":1}}`, `{"o":null}`, `[o]`, `{"o":{"a":1}}`},
		{"scalar to object", Spec{}, `{"o":1.10}`, `{"o":{}}`, `[o]`, `{"o":1.10}`},
		{"null to missing", Spec{}, `{"o":null}`, `{}`, `[o]`, `{"o":null}`},
		{"inside, added", Spec{}, `{"o":{}}`, `{"o":{"a":{"b":1}}}`, `[o.a]`, `{}`},
		{"exact text", Spec{}, `{"n":9007199254740993,"s":"\u00e9<>&\u2028"}`, `{"n":9007199254740992,"s":""}`, `[n s]`, `{"n":9007199254740993,"s":"\u00e9<>&\u2028"}`},
		{"number text counts", Spec{}, `{"n":1.10}`, `{"n":1.1}`, `[n]`, `{"n":1.10}`},
		{"spelling of a string does not", Spec{}, `{"s":"\u00e9"}`, `{"s":"é"}`, `[]`, ``},
		{"ignored", Spec{Ignore: paths("t", "o.t")}, `{"t":1,"o":{"t":1,"a":1}}`, `{"o":{"t":2,"a":2}}`, `[o.a]`, `{"o.a":1}`},
		{"fields", Spec{Fields: paths("a", "o.b")}, `{"a":1,"x":1,"o":{"b":1,"c":1}}`, `{"a":1,"x":2,"o":{"b":2,"c":2}}`, `[o.b]`, `{"o.b":1}`},
		{"unordered", Spec{Unordered: paths("l")}, `{"l":[1,2],"m":[1,2]}`, `{"l":[2,1],"m":[2,1]}`, `[m]`, `{"m":[1,2]}`},
		{"unordered that changed", Spec{Unordered: paths("l")}, `{"l":[2,1]}`, `{"l":[1,3]}`, `[l]`, `{"l":[2,1]}`},
		{
			"special characters",
			Spec{},
			`{"a.b":1,"c*":{"d|e":2},"@x":3,"q\"":4,"é ö":5}`, `{"a.b":0,"c*":{"d|e":0},"@x":0,"q\"":0,"é ö":0}`,
			`[\@x a\.b c\*.d\|e q\" é ö]`, `{"a\\.b":1,"c\\*.d\\|e":2,"\\@x":3,"q\\\"":4,"é ö":5}`,
		},
		{"escaped name", Spec{}, `{"\u0061":1}`, `{"a":2}`, `[a]`, `{"a":1}`},
		{"empty name", Spec{}, `{"":1,"x":{"":1}}`, `{"":2,"x":{"":2}}`, `[\ x.]`, `{"\\":1,"x.":1}`},
		{"control character in a name", Spec{}, `{"a\nb":1}`, `{"a\nb":2}`, "[a\\\nb]", `{"a\\\u000ab":1}`},
		{"name several times", Spec{}, `{"a":1,"a":2,"b":1}`, `{"a":1,"a":3,"b":1}`, `[a]`, `{"a":1}`},
		{"name once and twice", Spec{}, `{"a":{"x":1}}`, `{"a":{"x":1},"a":{"x":1}}`, `[a]`, `{"a":{"x":1}}`},
		{"record that is no object", Spec{}, `[1]`, `[2]`, `[@this]`, `{"@this":[1]}`},
		{"record that became an object", Spec{}, `1`, `{"a":1}`, `[@this]`, `{"@this":1}`},
		{"unchanged scalar", Spec{}, ` 1`, `1 `, `[]`, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			delta, err := compile(t, c.spec).Diff([]byte(c.old), []byte(c.new))
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(delta.Changed); got != c.changed {
				t.Errorf("changed %s, want %s", got, c.changed)
			}
			if string(delta.Previous) != c.previous {
				t.Errorf("previous %s, want %s", delta.Previous, c.previous)
			}
			if delta.Previous != nil && !gjson.ValidBytes(delta.Previous) {
				t.Errorf("previous is not JSON: %s", delta.Previous)
			}
		})
	}
}

func TestADeltaNeedsTwoJSONTexts(t *testing.T) {
	s := compile(t, Spec{})
	for _, c := range []struct{ old, new, text string }{
		{`{"a":`, `{}`, "the old record is not JSON: where a value should begin at byte 5"},
		{`{}`, `{} x`, "the new record is not JSON: after the end of the document at byte 3"},
		{``, `{}`, "the old record"},
	} {
		if _, err := s.Diff([]byte(c.old), []byte(c.new)); err == nil || !strings.HasPrefix(err.Error(), c.text) {
			t.Errorf("%s, %s: %v", c.old, c.new, err)
		}
	}
}

func TestPathsOfHostileRecordsStayInProportion(t *testing.T) {
	s := compile(t, Spec{})
	long := strings.Repeat("n", 100_000)
	record := func(value string) []byte {
		var b strings.Builder
		b.WriteString(`{"` + long + `":{`)
		for n := range 10_000 {
			fmt.Fprintf(&b, `"%d":%s,`, n, value)
		}
		b.WriteString(`"x":0},"other":` + value + `}`)
		return []byte(b.String())
	}
	delta, err := s.Diff(record("1"), record("2"))
	if err != nil || fmt.Sprint(delta.Changed) != fmt.Sprintf("[%s other]", long) {
		t.Errorf("%d paths, %v", len(delta.Changed), err)
	}
	const deep = 1000
	nested := func(value string) []byte {
		return []byte(strings.Repeat(`{"a":`, deep) + value + strings.Repeat("}", deep))
	}
	delta, err = s.Diff(nested("1"), nested("2"))
	if err != nil || fmt.Sprint(delta.Changed) != "["+strings.Repeat("a.", 63)+"a]" {
		t.Errorf("%v, %v", delta.Changed, err)
	}
	if old := gjson.Get(string(delta.Previous), gjson.Escape(delta.Changed[0])).Raw; len(old) < deep {
		t.Errorf("previous is %s", old)
	}
}
