package simtest

import (
	"slices"
	"time"
)

// noteSelection remembers which records a source has followed, and that it was edited.
func (w *world) noteSelection(s *sourceSettings) {
	m, was := w.truth.of(s.name), w.running.source(s.name)
	if was.where == s.where || len(m.known) == 0 && m.state.Baselined.IsZero() { // all that is read will be read for the first time
		return
	}
	if len(m.selections) == 0 {
		m.selections = []string{was.where}
	}
	m.selections = append(m.selections, s.where)
	m.selected, m.fresh = w.step.Load(), ""
	if s.since != nil && s.since.window > 0 {
		m.fresh = w.now().Add(-s.since.lag - clocksDiffer).Format(time.RFC3339)
	}
	w.say("edit of %s: where %q, silent %t", s.name, s.where, s.silent)
}

// formers are the selections from before the edits since which not all was read; none: all was.
func (r *reading) formers() []string {
	return r.m.selections[:max(len(r.m.selections)-1, 0)]
}

// included says that a record may come without an event: it is there only because the configuration excludes less than it did.
func (r *reading) included(key, record string) bool {
	return slices.ContainsFunc(r.formers(), func(where string) bool {
		return r.seen(key, record, func(body string) bool { return !admits(where, body) })
	})
}

// excluded says that a record may go without an event: as it is known, or as it was read and all that counts is as it is known, only the
// configuration excludes it.
func (r *reading) excluded(key string, was known) bool {
	formers := r.formers()
	if len(formers) > 0 && !r.s.follows(was.body) {
		return true
	}
	same := was.by.and(r.s.compared)
	return r.u.history.had(idOf(key), r.from, r.to, func(body string) bool {
		return !r.s.follows(body) && (r.u.kind.detail != "" || same.canon(body) == same.canon(was.body)) && // what the list said of it is not stored
			slices.ContainsFunc(formers, func(where string) bool { return admits(where, body) })
	})
}

// left says that a record that was seen and is not followed went by itself: it would be followed no more without the edit either, or
// it was changed since.
func (r *reading) left(key string) bool {
	formers := r.formers()
	if len(formers) == 0 {
		return true
	}
	was := r.m.known[key]
	return slices.ContainsFunc(r.u.history.was[idOf(key)], func(v version) bool {
		if v.from > r.to || v.to != 0 && v.to <= r.from || r.s.follows(v.body) {
			return false
		}
		return v.from > r.m.selected || was.by.canon(v.body) != was.by.canon(was.body) || r.m.edited > 0 && r.u.history.differs(idOf(key), r.m.edited, r.s.compared) ||
			slices.ContainsFunc(formers, func(where string) bool { return !admits(where, v.body) })
	})
}

// joined holds a creation against P10: the record is not there only because the configuration excludes less than it did.
func (r *reading) joined(key, record string) {
	formers := r.formers()
	if len(formers) == 0 || slices.ContainsFunc(formers, func(where string) bool {
		return r.seen(key, record, func(body string) bool { return admits(where, body) })
	}) {
		return
	}
	now := r.s.compared
	if r.missedEdit(key, r.m.selected) || r.u.since != nil && !r.u.since.read[idOf(key)] { // it was never asked for before
		return
	}
	if slices.ContainsFunc(r.u.history.was[idOf(key)], func(v version) bool {
		late := v.from > r.m.selected || r.m.fresh != "" && stampOf(v.body) >= r.m.fresh
		return late && v.from <= r.to && now.canon(v.body) == now.canon(record)
	}) {
		return
	}
	r.violated(10, "%s %s is created because of an edit (%q, was %q):\n%s", r.u.name, key, r.s.where, formers, record)
}

// newWish is what a webhook wants from now on.
func (w *world) newWish() (want wish) {
	switch w.chance.IntN(6) {
	case 0:
		want.sources = []string{"s1", "s2,s3"}[w.chance.IntN(2)]
	case 1:
		want.changes = []string{"created,deleted", "updated", "deleted"}[w.chance.IntN(3)]
	case 2:
		want.unless = []string{"s1", "s2"}[w.chance.IntN(2)]
	case 3:
		want.changed = []string{"price", "status,o"}[w.chance.IntN(2)]
	}
	return want
}
