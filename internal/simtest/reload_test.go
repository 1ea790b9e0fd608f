package simtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
)

// inFlightAfter is how long attempts of a webhook that was replaced may still arrive.
const inFlightAfter = 2 * time.Minute

func (w *world) file() string { return filepath.Join(w.dir, "sim.toml") }

// write puts settings into the file of the configuration, with the planted bug if there is one.
func (w *world) write(s *settings) string {
	text := s.text(filepath.ToSlash(filepath.Join(w.dir, "deltahook.db")))
	if w.plant.text != nil {
		text = w.plant.text(text)
	}
	w.put(text)
	for i := range s.sources {
		s.sources[i].believe(s.sources[i].edition, s.sources[i].details.on404 == "deleted")
	}
	return text
}

func (w *world) put(text string) {
	if err := os.WriteFile(w.file(), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// candidates are the settings that a commit may have been made with: while they are reloaded, and when nobody knows what came of that,
// there are two.
func (w *world) candidates(begun time.Time) []*settings {
	list := []*settings{w.running}
	if w.other != nil {
		list = append(list, w.other)
	}
	if w.former != nil && begun.Sub(w.reloaded) < time.Second {
		list = append(list, w.former)
	}
	return list
}

// reload lets the process that runs read other settings. When it does not come up to that, the next process has them.
func (w *world) reload(next *settings) {
	w.step.Add(1)
	w.truth.mu.Lock()
	w.noteEdits(next)
	w.other, w.wanted = next, next
	w.loosen(next)
	w.truth.mu.Unlock()
	w.write(next)
	err := w.reread()
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	switch {
	case err == nil:
		w.former, w.running, w.other, w.reloaded = w.running, next, nil, time.Now()
		w.noteBack(next, false)
	case answered(err):
		w.other = nil
		w.noteBack(w.running, true)
		w.loosen(w.running)
	}
}

// reread asks the process to read its file again.
func (w *world) reread() error {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	_, err := w.process.client.Reload(ctx)
	w.say("reload: %v", err)
	return err
}

// answered says that the process has refused something, and so has not done it.
func answered(err error) bool {
	_, problem := errors.AsType[*admin.Problem](err)
	_, rejected := errors.AsType[*admin.RejectedError](err)
	return problem || rejected
}

// spoil puts a file in place that cannot run: nothing changes (P10).
func (w *world) spoil() {
	w.step.Add(1)
	w.put("[source.s1]\nurl = 7\n")
	if err := w.reread(); err == nil {
		w.violated(10, "a configuration that cannot run was taken")
	}
	w.write(w.wanted)
}

// noteEdits remembers when what counts was changed.
func (w *world) noteEdits(next *settings) {
	for i := range next.sources {
		s := &next.sources[i]
		if was := w.running.source(s.name); s.compared != was.compared || s.key != was.key {
			m := w.truth.of(s.name)
			for key, k := range m.known {
				if k.by != was.compared {
					k.over = append(slices.Clone(k.over), was.compared)
					m.known[key] = k
				}
			}
			m.edited, m.least = w.step.Load(), m.least.and(was.compared).and(s.compared)
			w.say("edit of %s: %v, key %s", s.name, s.compared, s.key)
		}
		w.noteSelection(s)
	}
	w.noteAway(next)
}

// loosen lets what is promised of the order of webhooks be what both settings promise, for as long as attempts of the former one may arrive.
func (w *world) loosen(next *settings) {
	strength := []string{"none", "key", "source"}
	for i := range next.hooks {
		h, was := &next.hooks[i], &w.running.hooks[i]
		both := strength[min(slices.Index(strength, h.order), slices.Index(strength, was.order))]
		h.ordered(both, h.order, time.Now().Add(inFlightAfter))
	}
}

// say adds to the journal what the world does.
func (w *world) say(format string, args ...any) {
	w.journal.add("", fmt.Sprintf("%s step %d: ", time.Now().Format(time.TimeOnly), w.step.Load())+fmt.Sprintf(format, args...))
}
