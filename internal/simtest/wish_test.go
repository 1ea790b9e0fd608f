package simtest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/hooktest"
)

// wish is what a webhook wants of the events that lead to it. The zero value is all.
type wish struct {
	sources string // comma-separated; empty: those of all
	changes string // comma-separated; empty: all
	unless  string // a status that the record must not have
	changed string // of an update: one of these members, comma-separated
}

func (w wish) has(e *hooktest.Event) bool {
	return (w.sources == "" || slices.Contains(strings.Split(w.sources, ","), e.Source)) &&
		(w.changes == "" || slices.Contains(strings.Split(w.changes, ","), e.Change)) &&
		(w.unless == "" || statusOf(string(e.Record)) != w.unless) &&
		(w.changed == "" || e.Change != "updated" || w.sees(e.Changed))
}

// sees says whether one of the members changed, or something in it.
func (w wish) sees(paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		name, _, _ := strings.Cut(path, ".")
		return slices.Contains(strings.Split(w.changed, ","), name)
	})
}

// write adds the keys events, when and changed_any.
func (w wish) write(b *strings.Builder) {
	var globs []string
	for source := range strings.SplitSeq(w.sources, ",") {
		for change := range strings.SplitSeq(w.changes, ",") {
			globs = append(globs, orAny(source)+"."+orAny(change))
		}
	}
	if w.sources+w.changes != "" {
		fmt.Fprintf(b, "events = [\"%s\"]\n", strings.Join(globs, `", "`))
	}
	if w.unless != "" {
		fmt.Fprintf(b, "when = ['record.status != %q']\n", w.unless)
	}
	if w.changed != "" {
		fmt.Fprintf(b, "changed_any = [\"%s\"]\n", strings.ReplaceAll(w.changed, ",", `", "`))
	}
}

func orAny(glob string) string {
	if glob == "" {
		return "*"
	}
	return glob
}
