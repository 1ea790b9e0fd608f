package differ

import (
	"errors"
	"testing"
)

func watch(t *testing.T, paths ...string) Watch {
	t.Helper()
	var w Watch
	if err := w.SetStrings(paths); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAWatchSeesItsPathsWhatIsInThemAndWhatChangesAroundThem(t *testing.T) {
	for _, c := range []struct {
		watched, changed string
		previous, record string
		want             bool
	}{
		{"status", "status", `{}`, `{}`, true},
		{"status", "statusText", `{}`, `{}`, false},
		{"status", "owner.status", `{}`, `{}`, false},
		{"owner", "owner.name", `{}`, `{}`, true},
		{"owner.name", "owner", `{"owner":{"name":"Ann"}}`, `{"owner":null}`, true},
		{"owner.name", "owner", `{"owner":"Ann"}`, `{"owner":"Bo"}`, false}, // there never was a name
		{"owner.name", "owner", `{}`, `{"owner":{"name":"Ann"}}`, true},
		{"owner.name", "owner.mail", `{}`, `{}`, false},
		{"items.0.price", "items", `{"items":[]}`, `{"items":[{"price":1}]}`, true}, // arrays change as a whole
		{"items.#.price", "items", `{"items":[1]}`, `{"items":null}`, true},
		{"*.price", "toys.price", `{}`, `{}`, true},
		{"*.price", "toys.size", `{}`, `{}`, false},
		{"*.price", "toys", `{"toys":1}`, `{"toys":2}`, false},
		{`a\.b.c`, `a\.b`, `{"a\\.b":{"c":1}}`, `{}`, true},
		{`a\.b`, "a.b", `{}`, `{}`, false},
		{"@this", "anything.at.all", `{}`, `{}`, true},
		{"status", "@this", `{}`, `7`, true},
	} {
		w := watch(t, "never", c.watched)
		change := Change{Kind: Updated, Record: []byte(c.record), Delta: Delta{Previous: []byte(c.previous), Changed: []string{"zzz", c.changed}}}
		if got := w.Sees(&change); got != (c.want || c.watched == "@this") {
			t.Errorf("%s sees a change of %s: %v", c.watched, c.changed, got)
		}
	}
	if watch(t).Sees(&Change{Delta: Delta{Changed: []string{"status"}}}) {
		t.Error("no path sees something")
	}
}

func TestAWatchRefusesPathsThatNoChangeHas(t *testing.T) {
	var w Watch
	for _, path := range []string{"items.#(id==1).name", "$.status", "name|@reverse", ""} {
		var wrong *PathError
		if err := w.SetStrings([]string{path}); !errors.As(err, &wrong) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// What a Diff reports is what a Watch sees, whatever the names are made of.
func TestAWatchSeesWhatADiffReports(t *testing.T) {
	shape, err := (&Spec{}).Compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range [][2]string{
		{`{"a.b":1,"c":{"*":1}}`, `{"a.b":2,"c":{"*":2}}`},
		{`{"":1,"0":{"#":1}}`, `{"":2,"0":{"#":3}}`},
	} {
		delta, err := shape.Diff([]byte(record[0]), []byte(record[1]))
		if err != nil || len(delta.Changed) != 2 {
			t.Fatal(delta, err)
		}
		for i, path := range delta.Changed {
			if path == `\` {
				continue // a name that is empty cannot be watched
			}
			w := watch(t, path)
			is, other := delta, delta
			is.Changed, other.Changed = delta.Changed[i:i+1], delta.Changed[1-i:2-i]
			if !w.Sees(&Change{Delta: is}) || w.Sees(&Change{Delta: other}) {
				t.Errorf("%s is not seen, or taken for another", path)
			}
		}
	}
}
