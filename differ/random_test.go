package differ

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

// generator makes random values and spells them in different ways.
type generator struct{ *rand.Rand }

var (
	someNames   = []string{"a", "b", "c", "id", "a.b", "x y", "é", "0", "1", "#", "*", "@this", "q\"", "back\\", "", "line\n", "😀", "\u2028", "|", "<&>"}
	someNumbers = []string{"0", "-0", "1", "1.0", "1.10", "1.1", "9007199254740993", "9007199254740992", "1e3", "1000", "1E3", "-12345678901234567890", "0.1e-7"}
	someTexts   = []string{"", "a", "é", "a\"b", "\\", "\n\t", "\u2028", "😀", "</script>", "null", "1", "\x00\x1f", "a long text without anything special in it"}
)

func pick[T any](g generator, list []T) T { return list[g.IntN(len(list))] }

// value makes a decoded value, as json.Decoder with UseNumber gives it.
func (g generator) value(levels int) any {
	switch k := g.IntN(10); {
	case k < 3 && levels > 0:
		m := map[string]any{}
		for range g.IntN(5) {
			m[pick(g, someNames)] = g.value(levels - 1)
		}
		return m
	case k < 5 && levels > 0:
		list := []any{}
		for range g.IntN(4) {
			list = append(list, g.value(levels-1))
		}
		return list
	case k < 7:
		return json.Number(pick(g, someNumbers))
	case k < 9:
		return pick(g, someTexts)
	}
	return pick(g, []any{true, false, nil})
}

// record makes a value that is usually an object with some members.
func (g generator) record() any {
	if g.IntN(10) == 0 {
		return g.value(4)
	}
	m := map[string]any{}
	for range 2 + g.IntN(6) {
		m[pick(g, someNames)] = g.value(3)
	}
	return m
}

// mutate changes a value a little, or not at all.
func (g generator) mutate(v any, levels int) any {
	switch v := v.(type) {
	case map[string]any:
		m := maps.Clone(v)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			switch g.IntN(8) {
			case 0:
				delete(m, name)
			case 1:
				m[name] = g.value(levels - 1)
			case 2, 3, 4:
				m[name] = g.mutate(v[name], levels-1)
			}
		}
		if g.IntN(8) == 0 {
			m[pick(g, someNames)] = g.value(levels - 1)
		}
		return m
	case []any:
		list := slices.Clone(v)
		if g.IntN(2) == 0 {
			g.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
		if len(list) > 0 && g.IntN(3) == 0 {
			i := g.IntN(len(list))
			list[i] = g.mutate(list[i], levels-1)
		}
		return list
	}
	if g.IntN(10) == 0 {
		return g.value(levels)
	}
	return v
}

// spell writes a value with members in any order, white space anywhere and strings escaped at random.
func (g generator) spell(v any) string {
	var b strings.Builder
	g.write(&b, v)
	return b.String()
}

func (g generator) write(b *strings.Builder, v any) {
	g.space(b)
	defer g.space(b)
	switch v := v.(type) {
	case map[string]any:
		names := slices.Sorted(maps.Keys(v))
		g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		b.WriteByte('{')
		for i, name := range names {
			if i > 0 {
				b.WriteByte(',')
			}
			g.space(b)
			g.text(b, name)
			g.space(b)
			b.WriteByte(':')
			g.write(b, v[name])
		}
		g.space(b)
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			g.write(b, e)
		}
		g.space(b)
		b.WriteByte(']')
	case string:
		g.text(b, v)
	case nil:
		b.WriteString("null")
	default:
		fmt.Fprint(b, v)
	}
}

func (g generator) space(b *strings.Builder) {
	if g.IntN(6) == 0 {
		b.WriteString(pick(g, []string{" ", "\n", "\t", "\r\n", "          "}))
	}
}

func (g generator) text(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\' || r < ' ' || g.IntN(8) == 0:
			if r > 0xffff {
				r -= 0x10000
				fmt.Fprintf(b, "\\u%04x\\u%04X", 0xd800+r>>10, 0xdc00+r&0x3ff)
			} else {
				fmt.Fprintf(b, "\\u%04x", r)
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

// spec makes rules from names that values have.
func (g generator) spec() Spec {
	list := func() (list []Path) {
		for range g.IntN(3) {
			var parts []string
			for range 1 + g.IntN(3) {
				if g.IntN(3) == 0 {
					parts = append(parts, pick(g, []string{"#", "*", "0", "1"}))
					continue
				}
				parts = append(parts, escapeName(pick(g, []string{"a", "b", "c", "a.b", "é", "#", "😀"})))
			}
			list = append(list, MustPath(strings.Join(parts, ".")))
		}
		return list
	}
	s := Spec{Ignore: list(), Unordered: list()}
	if g.IntN(3) == 0 {
		s.Fields = list()
	}
	return s
}

func TestRandomRecordsCompareAsTheyDecode(t *testing.T) {
	rounds := 30_000
	if testing.Short() {
		rounds = 3000
	}
	equal, changed := 0, 0
	for n := range rounds {
		g := generator{rand.New(rand.NewPCG(uint64(n), 3))}
		s := g.spec()
		shape := compile(t, s)
		old := g.record()
		now := old
		if g.IntN(4) > 0 {
			now = g.mutate(old, 4)
		}
		a, b := []byte(g.spell(old)), []byte(g.spell(now))
		o := newOracle(s)
		left, _ := o.reduce(old, nil, len(s.Fields) == 0)
		right, _ := o.reduce(now, nil, len(s.Fields) == 0)
		same := left == right
		x, y := shape.AppendCanonical(nil, a), shape.AppendCanonical(nil, b)
		if got := string(x) == string(y); got != same {
			t.Fatalf("round %d, %+v: same is %v\n%s\n%s\n%s\n%s", n, s, got, a, b, x, y)
		}
		checkProjection(t, shape, a)
		checkDelta(t, shape, s, shape.Project(nil, a), shape.Project(nil, b), same)
		if same {
			equal++
		} else {
			changed++
		}
	}
	if equal < rounds/5 || changed < rounds/5 {
		t.Errorf("%d equal and %d changed: the test has lost its point", equal, changed)
	}
}

// checkDelta checks a delta against the records it comes from.
func checkDelta(t *testing.T, shape *Shape, s Spec, old, now []byte, same bool) {
	t.Helper()
	delta, err := shape.Diff(old, now)
	if err != nil {
		t.Fatal(err)
	}
	if (len(delta.Changed) == 0) != same || (delta.Previous == nil) != same {
		t.Fatalf("same is %v, changed %q\n%s\n%s", same, delta.Changed, old, now)
	}
	if same {
		return
	}
	if !slices.IsSorted(delta.Changed) || !json.Valid(delta.Previous) {
		t.Fatalf("changed %q, previous %s", delta.Changed, delta.Previous)
	}
	previous := map[string]json.RawMessage{}
	if err := json.Unmarshal(delta.Previous, &previous); err != nil {
		t.Fatal(err)
	}
	for _, path := range delta.Changed {
		if strings.HasPrefix(path, "..") {
			continue // two empty names in a row mean something else to gjson
		}
		was, has := previous[path]
		if got := gjson.GetBytes(old, path); got.Exists() != has || has && string(Value{Raw: []byte(strings.TrimSpace(got.Raw))}.Raw) != string(was) {
			t.Fatalf("previous of %q is %s, gjson finds %s in %s", path, was, got.Raw, old)
		}
	}
	if len(s.Fields)+len(s.Ignore)+len(s.Unordered) == 0 {
		checkApplied(t, old, now, delta)
	}
}

// checkApplied puts the new values at the changed paths of the old record, which must give the new one.
func checkApplied(t *testing.T, old, now []byte, delta Delta) {
	t.Helper()
	var record, want map[string]any
	if delta.Changed[0] == self {
		return // a record that is not an object
	}
	if err := decode(old, &record); err != nil {
		t.Fatal(err)
	}
	if err := decode(now, &want); err != nil {
		t.Fatal(err)
	}
	for _, path := range delta.Changed {
		if !set(record, want, namesOf(path)) {
			t.Fatalf("%q does not lead anywhere", path)
		}
	}
	got, _ := json.Marshal(record)
	expected, _ := json.Marshal(want)
	if string(got) != string(expected) {
		t.Fatalf("applied %q: %s, want %s", delta.Changed, got, expected)
	}
}

// namesOf splits a path of a Delta.
func namesOf(path string) (names []string) {
	if path == `\` {
		return []string{""}
	}
	name := ""
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '.':
			names = append(names, name)
			name = ""
			continue
		case '\\':
			i++
		}
		name += path[i : i+1]
	}
	return append(names, name)
}

func set(record, from map[string]any, names []string) bool {
	for _, name := range names[:len(names)-1] {
		var ok, ok2 bool
		record, ok = record[name].(map[string]any)
		from, ok2 = from[name].(map[string]any)
		if !ok || !ok2 {
			return false
		}
	}
	last := names[len(names)-1]
	_, was := record[last]
	v, is := from[last]
	if is {
		record[last] = v
	} else {
		delete(record, last)
	}
	return was || is
}

func decode(text []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	return d.Decode(v)
}

func checkProjection(t *testing.T, shape *Shape, record []byte) {
	t.Helper()
	projected := shape.Project(nil, record)
	if !json.Valid(projected) {
		t.Fatalf("projected %s: %s", record, projected)
	}
	if again := shape.Project(nil, projected); string(again) != string(projected) {
		t.Fatalf("projected %s, again %s", projected, again)
	}
	if a, b := shape.AppendCanonical(nil, record), shape.AppendCanonical(nil, projected); string(a) != string(b) {
		t.Fatalf("%s compares as %s, projected as %s", record, a, b)
	}
}
