package simtest

import (
	"context"
	"slices"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// goAway takes a source or a webhook out of the configuration, or puts one that is away back. The first ones stay: nothing that happens
// to others may be felt there.
func (w *world) goAway(next *settings) {
	if w.chance.IntN(2) == 0 {
		s := &next.sources[1+w.chance.IntN(len(next.sources)-1)]
		s.away = !s.away
		s.edition++
		return
	}
	h := &next.hooks[1+w.chance.IntN(len(next.hooks)-1)]
	h.away = !h.away
}

// comeBack puts back some of what is away.
func (w *world) comeBack(next *settings) {
	for i := range next.sources {
		if s := &next.sources[i]; s.away && w.chance.IntN(4) == 0 {
			s.away = false
			s.edition++
		}
	}
	for i := range next.hooks {
		if h := &next.hooks[i]; h.away && w.chance.IntN(4) == 0 {
			h.away = false
		}
	}
}

// noteAway remembers since when sources are away; nobody knows yet whether that comes true.
func (w *world) noteAway(next *settings) {
	for i := range next.sources {
		s := &next.sources[i]
		if m := w.truth.of(s.name); s.away && m.left.IsZero() {
			m.left = time.Now().Round(0) // by the wall clock: that is what is compared after a jump, too
			w.say("%s leaves", s.name)
		}
	}
}

// noteBack forgets since when those were away that are there. Not what the store may have heard of settings that were refused.
func (w *world) noteBack(now *settings, refused bool) {
	for i := range now.sources {
		if s := &now.sources[i]; !s.away {
			m := w.truth.of(s.name)
			if !refused {
				m.tried = time.Time{}
			} else if m.tried.IsZero() {
				m.tried = m.left
			}
			m.left, m.due = time.Time{}, false
		} else {
			w.polls.left(s.name)
			w.journal.left(s.name)
		}
	}
}

// left forgets how the polls of a source went.
func (p *polls) left(source string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.failed, source)
	delete(p.good, source)
}

// left forgets what was said of a source: it is over.
func (j *journal) left(source string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.alerts, " source="+source)
}

// without says that something is away, and has been for long enough to leave nothing under way.
func (w *world) without(away func(*settings) bool) bool {
	return away(w.running) && w.other == nil && time.Since(w.reloaded) > inFlightAfter
}

// checkConfigured wants no source to be asked that is not configured (P10).
func (w *world) checkConfigured(u *upstream) {
	if w.truth == nil { // at load nothing is edited
		return
	}
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	if w.without(func(s *settings) bool { return s.source(u.name).away }) {
		w.violated(10, "%s is asked, and is not configured", u.name)
	}
}

// checkHook wants nothing to be sent to a webhook that is not configured (P10).
func (w *world) checkHook(r *receiver) {
	if w.without(func(s *settings) bool { return s.hook(r.name).away }) {
		w.violated(10, "%s gets something, and is not configured", r.name)
	}
}

func (s *settings) hook(name string) *hookSettings {
	return &s.hooks[slices.IndexFunc(s.hooks, func(h hookSettings) bool { return h.name == name })]
}

// Housekeep lets the world know which sources were forgotten.
func (s *spy) Housekeep(ctx context.Context, r store.Retention) (store.Swept, error) {
	left := s.w.noteDue()
	swept, err := s.Store.Housekeep(ctx, r)
	if left {
		s.w.learnForgotten(ctx, s.Store)
	}
	return swept, err
}

// noteDue remembers which sources may be forgotten now: whether they are may be heard later, when the clock was set back. It says whether
// any is away.
func (w *world) noteDue() (left bool) {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	for _, m := range w.truth.sources {
		if m.left.IsZero() {
			continue
		}
		left = true
		now := time.Now().Round(0)
		m.due = m.due || now.Sub(m.left) >= w.running.keep || !m.tried.IsZero() && now.Sub(m.tried) >= w.running.keep
	}
	return left
}

func (w *world) learnForgotten(ctx context.Context, st store.Store) {
	rows, err := st.Sources(ctx)
	if err != nil {
		return // the next look tells
	}
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	for source, m := range w.truth.sources {
		if m.doing != nil || slices.ContainsFunc(rows, func(row store.SourceRow) bool { return row.Name == source }) {
			continue
		}
		if state, err := st.Look().Load(ctx, source); err == nil {
			w.gone(source, m, state)
		}
	}
}

// gone takes in what the store says of a source that it does not list: what was known of it is deleted, its version and its sequence are
// not. A commit of unknown outcome was made before that, if at all.
func (w *world) gone(source string, m *memory, state poller.State) {
	if m.maybe != nil && state.Version == m.maybe.expect+2 { // the deletion counts as one
		w.truth.apply(source, m.maybe)
	}
	if m.maybe = nil; m.state.Version > 0 && !m.forgotten {
		w.forgotten(source, m)
	}
}

// forgotten takes in that a store has deleted what was known of a source: that may be once it was away for as long as is configured.
// What it was told stays, and its sequence goes on.
func (w *world) forgotten(source string, m *memory) {
	if !m.due {
		w.violated(10, "%s is forgotten, and has been away since %s, for less than %s", source, m.left, w.running.keep)
	}
	w.say("%s is forgotten", source)
	m.state = poller.State{Version: m.state.Version + 1, Sequence: m.state.Sequence}
	m.forgotten, m.known, m.keys, m.selections, m.parts = true, map[string]known{}, map[differ.Hash]string{}, nil, nil
}

// checkForgotten wants a source to be forgotten some time after it may be: the store must not grow for ever.
func (w *world) checkForgotten(since time.Time) {
	const patience = 10 * time.Minute
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	for source, m := range w.truth.sources {
		if m.left.IsZero() || m.forgotten || m.state.Version == 0 || time.Since(since) < patience {
			continue
		}
		if away := time.Now().Round(0).Sub(m.left); away > w.running.keep+patience {
			w.violated(12, "%s has been away for %s and is not forgotten after %s", source, away, w.running.keep)
		}
	}
}
