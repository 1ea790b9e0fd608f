package differ

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
)

func TestUndoGivesTheRecordAsItWasByteForByteInItsValues(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":1.10,"b":9007199254740993}`, `{"a":2,"b":9007199254740993}`, `{"a":1.10,"b":9007199254740993}`},
		{`{"a":1}`, `{"a":1,"new":{"x":[1]}}`, `{"a":1}`},
		{`{"gone":"x","a":1}`, `{"a":1}`, `{"a":1,"gone":"x"}`},
		{`{"o":{"n":"Ann","m":1}}`, `{"o":{"n":"Bo","k":0}}`, `{"o":{"n":"Ann","m":1}}`},
		{`{"o":{"n":"Ann"}}`, `{"o":null}`, `{"o":{"n":"Ann"}}`},
		{`{"l":[1, 2]}`, `{"l":[]}`, `{"l":[1, 2]}`},
		{`[1]`, `{"a":1}`, `[1]`},
		{`{"a.b":1,"":2,"*":{"":3}}`, `{"a.b":0,"":0,"*":{"":0}}`, `{"a.b":1,"":2,"*":{"":3}}`},
		{`{}`, `{"a":1}`, `{}`},
	} {
		shape := compiled(t, Spec{})
		delta, err := shape.Diff([]byte(c[0]), []byte(c[1]))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(delta.Undo([]byte(c[1]))); got != c[2] {
			t.Errorf("%s became %s; undone it is %s", c[0], c[1], got)
		}
	}
}

// Whatever a Diff finds, Undo leads back, in all that counts for the shape.
func TestUndoLeadsBackFromEveryDiff(t *testing.T) {
	specs := []Spec{{}, {Ignore: []Path{MustPath("a"), MustPath("b.c")}}, {Unordered: []Path{MustPath("*"), MustPath("c.*")}}}
	g := generator{rand.New(rand.NewPCG(3, 14))}
	rounds := 20_000
	if testing.Short() {
		rounds = 5_000
	}
	for n := range rounds {
		shape := compiled(t, specs[n%len(specs)])
		was := g.record()
		old, record := text(t, was), text(t, g.mutate(was, 4))
		delta, err := shape.Diff(old, record)
		if err != nil {
			t.Fatal(err)
		}
		back := delta.Undo(record)
		left, err := shape.Diff(old, back)
		if err != nil || len(left.Changed) > 0 {
			t.Fatalf("%s became %s at %q; undone it is %s (%v)", old, record, delta.Changed, back, err)
		}
	}
}

func text(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func compiled(t *testing.T, s Spec) *Shape {
	t.Helper()
	shape, err := s.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return shape
}
