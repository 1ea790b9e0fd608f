package differ

import (
	"encoding/json"
	"testing"
)

func TestMergedMembersKeepTheirBytesAndPlaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ base, over, want string }{
		{`{"id":1,"n":1.10}`, `{"n":9007199254740993,"x": [1, 2]}`, `{"id":1,"n":9007199254740993,"x":[1, 2]}`},
		{` { "a" : 1 , "b":{ } } `, ` { } `, `{"a":1,"b":{ }}`},
		{`{}`, `{"a":null}`, `{"a":null}`},
		{`{"\u0061":1,"b":2}`, `{"a":"é\n"}`, `{"\u0061":"é\n","b":2}`},
		{`{"a":1,"a":2}`, `{"b":3}`, `{"a":1,"a":2,"b":3}`},
		{`{"a":1,"a":2}`, `{"a":3,"a":4}`, `{"a":3}`},
		{`{"":1}`, `{"":{"":"}"}}`, `{"":{"":"}"}}`},
	} {
		got, err := Merge([]byte("x"), []byte(c.base), []byte(c.over))
		if err != nil || string(got) != "x"+c.want || !json.Valid(got[1:]) {
			t.Errorf("%s and %s: %s, %v; want %s", c.base, c.over, got, err, c.want)
		}
	}
}

func TestOnlyObjectsCanBeMerged(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{`[1]`, `{}`}, {`{}`, `"a"`}, {`null`, `{}`}, {`{}`, ` 7`}} {
		if got, err := Merge(nil, []byte(c[0]), []byte(c[1])); err == nil {
			t.Errorf("%s and %s: %s", c[0], c[1], got)
		}
	}
}
