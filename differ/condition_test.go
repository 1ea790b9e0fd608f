package differ

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestConditions(t *testing.T) {
	const doc = `{"status":"open","n":9007199254740993,"price":1.10,"neg":-0.5,"zero":0.00,"text":"10","date":"2026-11-23","yes":true,"no":false,
		"nil":null,"empty":"","obj":{"a":1},"arr":[],"esc":"a\u00e9\"b","tags":[{"k":"x"},{"k":"y"}],"big":1e400,"a.b":1,"long":123456789012345678901234567890.5,"zip":"01234"}`
	for text, want := range map[string]bool{
		"status": true, "n": true, "zero": false, "text": true, "yes": true, "no": false, "nil": false, "empty": false, "obj": true, "arr": true, "missing": false,
		"neg": true, `a\.b`: true, " status ": true,

		`status == "open"`: true, `status=="open"`: true, "status == open": true, "status == Open": false, "status != open": false, "status != closed": true,
		`status == "\u006fpen"`: true, `esc == "aé\"b"`: true, `esc == "aé"`: false, `empty == ""`: true, "status == two words": false, "obj.a == 1": true,

		"n == 9007199254740993": true, "n == 9007199254740992": false, "n > 9007199254740992": true, "n < 9007199254740994": true, "n >= 9007199254740993": true,
		"n <= 9007199254740992": false, "price == 1.1": true, "price == 1.10": true, "price == 11e-1": true, "price < 1.11": true, "price > 1.09999999999999999999": true,
		"neg < 0": true, "neg == -5e-1": true, "neg > -0.6": true, "zero == 0": true, "zero == -0": true, "zero == 0e999": true, "zero >= 0": true, "zero > -1": true,
		"big == 1e400": true, "big > 1e399": true, "big < 1e401": true, "big > 9": true, "big == 10e399": true,
		"long > 123456789012345678901234567890.49": true, "long == 123456789012345678901234567890.50": true, "neg < -1e-999999999999999999999": true,
		"price != 1.1": false, "price == abc": false, "price != abc": true, "price < abc": false,

		"text == 10": true, "text == 10.0": true, `text == "10"`: true, `text == "10.0"`: false, "text > 9": true, `text > "9"`: false, "text < 9.5": false, "zip == 1234": false,
		`zip == "1234"`: false, "status > 5": false, "status < 5": false, "status == 5": false, "status != 5": true, `n == "9007199254740993"`: true, `price == "1.10"`: true,
		`date >= "2026-11-01"`: true, "date < 2026-12-01": true, "date > 2026-11-23": false, "date >= 2026-11-23": true,

		"yes == true": true, "yes != true": false, "no == true": false, "no == false": true, `yes == "true"`: true, "nil == false": false, "missing != true": true,
		"yes > 0": false, "yes == 1": false,
		"nil == null": true, "missing == null": true, "nil != null": false, "status == null": false, "status != null": true, `nil == "null"`: false, "zero == null": false,
		"obj == null": false, "obj != null": true, "obj == x": false, "arr < 1": false, "obj != x": true, "missing == x": false, "missing < 1": false, "missing >= 0": false,

		"status % op*": true, "status % o?en": true, "status % open": true, "status % op": false, "status % *": true, `status % "*e*"`: true, "status % *x*": false, "status !% x*": true,
		"status !% o*": false, "missing % *": false, "missing !% *": true, "n % 9007*": true, "yes % t*": true, `esc % "a?\"b"`: true, "obj % *": false, `status % "o\\*n"`: false,

		`tags.#(k=="y").k == y`: true, `tags.#(k=="y")`: true, `tags.#(k=="z")`: false, "tags.# == 2": true, "tags.# > 2": false, "status|@this == open": true,
		`tags.#(k!="x").k`: true,
	} {
		c, err := ParseCondition(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := c.Match([]byte(doc)); got != want {
			t.Errorf("%s is %v", text, got)
		}
	}
}

func TestWrongConditionsAreRefused(t *testing.T) {
	for text, problem := range map[string]string{
		"":                   "has no path",
		"  ":                 "has no path",
		"== 1":               "has no path",
		"a = 1":              "write a == 1",
		"a === 1":            "write a == 1",
		"a <> 1":             "write a != 1",
		"a =~ x":             "write a % x",
		"a => 1":             "write a >= 1",
		"a == ":              "has no value",
		"a ! 1":              "operator !",
		"!a":                 "write a != true",
		"a == 'x'":           "single quotes",
		`a == "x`:            "double quotes",
		`a == "x" y`:         "double quotes",
		"a == 1 && b == 2":   "joins two",
		`a == "x" || b`:      "joins two",
		"a == b == c":        "double quotes",
		"a == {}":            "an object",
		"a == [1]":           "an array",
		"a < true":           "less or greater than true",
		"a >= null":          "less or greater than null",
		"a % null":           "pattern",
		"a == ~true":         "path alone",
		"a ==~ true":         "operator ==~",
		"$.a == 1":           "JSONPath",
		"items[0].id == 1":   "subscript",
		"items.#(id==1 == 2": "does not close",
	} {
		c, err := ParseCondition(text)
		if err == nil {
			t.Errorf("%q is a condition", text)
			continue
		}
		hinted, ok := errors.AsType[interface {
			error
			NextStep() string
		}](err)
		if !ok || !strings.Contains(hinted.Error()+" "+hinted.NextStep(), problem) {
			t.Errorf("%q: %v", text, err)
		}
		if !c.IsZero() {
			t.Errorf("%q: not zero", text)
		}
	}
	if err := new(ConditionError); !strings.Contains(err.NextStep(), "operator") {
		t.Error("no next step")
	}
}

func TestConditionsAreWrittenAndReadAsText(t *testing.T) {
	var list []Condition
	if err := json.Unmarshal([]byte(`["a == 1","b"]`), &list); err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(list); err != nil || string(text) != `["a == 1","b"]` {
		t.Errorf("%s, %v", text, err)
	}
	if err := json.Unmarshal([]byte(`["a = 1"]`), &list); err == nil {
		t.Error("a wrong condition was read")
	}
	var zero Condition
	if zero.Match([]byte(`{"":1}`)) || zero.String() != "" {
		t.Error("the zero condition holds")
	}
	if again, err := ParseCondition("b"); err != nil || list[1] != again || list[0] == list[1] {
		t.Error("conditions do not compare by their spelling")
	}
}

func TestNumbersAreComparedAsExactDecimals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	number := func() string {
		var b strings.Builder
		if r.IntN(3) == 0 {
			b.WriteByte('-')
		}
		fmt.Fprint(&b, r.IntN(3)*r.IntN(1000))
		if r.IntN(2) == 0 {
			b.WriteByte('.')
			for range 1 + r.IntN(4) {
				b.WriteByte('0' + byte(r.IntN(3)))
			}
		}
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, "e%+d", r.IntN(9)-4)
		}
		return b.String()
	}
	for range 20_000 {
		a, b := number(), number()
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		left, ok := parseDecimal(a)
		right, ok2 := parseDecimal(b)
		if !ok || !ok2 || left.compare(right) != x.Cmp(y) {
			t.Fatalf("%s and %s compare as %d", a, b, left.compare(right))
		}
	}
}

func TestAPatternCannotTakeForEver(t *testing.T) {
	if glob(strings.Repeat("*a", 2000)+"b", []byte(strings.Repeat("a", 20_000))) {
		t.Error("it matches")
	}
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"?", "", false},
		{"?", "é", true},
		{"??", "é", false},
		{"a*", "a", true},
		{"*a", "ba", true},
		{"*é*", "xéy", true},
		{`\*`, "*", true},
		{`\*`, "a", false},
		{`a\`, `a\`, true},
		{"a*b*c", "a1b2b3c", true},
		{"a*b*c", "a1b2b3", false},
		{"*?", "a", true},
		{"**", "a", true},
		{"?*", "", false},
	} {
		if got := glob(c.pattern, []byte(c.text)); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.text, got)
		}
	}
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	doc := []byte(smallRecord(1))
	for _, text := range []string{`status == "active"`, "id > 1000", "amount == 1.1", "status", "name % *Example*", `owner.name != "x"`} {
		c, err := ParseCondition(text)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { c.Match(doc) }); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}
