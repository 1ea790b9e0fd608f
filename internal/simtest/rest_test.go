package simtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
)

// unsettled says what is still to come once all is well; empty: nothing.
func (w *world) unsettled() string {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	for i := range w.running.sources {
		s := &w.running.sources[i]
		if m := w.truth.of(s.name); !s.agrees(m) {
			return fmt.Sprintf("%s is known as\n%v\nupstream has\n%v", s.name, slices.Sorted(maps.Keys(m.known)), s.keys())
		}
	}
	for _, e := range w.truth.events {
		for webhook := range e.to {
			if e.done[webhook] != store.StateDelivered && e.done[webhook] != store.StateMerged && e.done[webhook] != store.StateDropped {
				return fmt.Sprintf("event %d of %s is %q for %s", e.sequence, e.source, e.done[webhook], webhook)
			}
		}
	}
	return ""
}

// keys gives what an upstream has.
func (u *upstream) keys() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Sorted(maps.Keys(u.history.now))
}

// agrees says whether what is known of a source is what upstream has, as far as it counts.
func (s *sourceSettings) agrees(m *memory) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.state.Baselined.IsZero() {
		return false
	}
	followed := 0
	for key, body := range s.history.now {
		if !s.follows(body) || !s.reads(key) {
			continue
		}
		followed++
		k, ok := m.known[s.keyOf(key)]
		if !ok || s.compared.canon(k.body) != s.compared.canon(body) && !s.entryOnly(key, k.body) {
			return false
		}
	}
	return len(m.known) == followed
}

// unfound says that a source was read often enough, and that what is known of it is still not what upstream has.
func (w *world) unfound() bool {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	w.polls.mu.Lock()
	defer w.polls.mu.Unlock()
	for i := range w.running.sources {
		s := &w.running.sources[i]
		if w.polls.calm[s.name] > s.confirm+5+s.patience() && !s.agrees(w.truth.of(s.name)) {
			return true
		}
	}
	return false
}

// patience is how many polls it may take, of those that nothing disturbs, until all of a listing is taken in.
func (s *sourceSettings) patience() int {
	if s.kind.detail == "" {
		return 0
	}
	return s.details.polls()
}

// waiting says whether anything is on its way that is not parked.
func (w *world) waiting() bool {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	for _, e := range w.truth.events {
		for webhook := range e.to {
			if e.done[webhook] == "" {
				return true
			}
		}
	}
	return false
}

// overdue is what never came: a change that nobody found (P7), or an event that never arrived (P2).
func (w *world) overdue(left string) {
	promise := 7
	if strings.HasPrefix(left, "event") {
		promise = 2
	}
	w.violated(promise, "never at rest: %s", left)
}

// checkRest holds what receivers have against what was told (P7), and looks for secrets in what people can read (P11).
func (w *world) checkRest() {
	w.truth.mu.Lock()
	for source, m := range w.truth.sources {
		for _, r := range w.receivers {
			w.checkReplica(r, source, m)
		}
	}
	w.truth.mu.Unlock()
	for _, r := range w.receivers {
		for _, problem := range r.Problems() {
			w.violated(3, "%s: %v", r.name, problem)
		}
	}
	if w.process != nil {
		w.checkSecrets(w.process.store)
		w.stop()
		if w.start() {
			w.stop()
		}
	}
}

// checkReplica applies the events of a source in sequence, as they are when all that could be merged on its way was merged; and
// holds what that comes to against the last event of each record.
func (w *world) checkReplica(r *receiver, source string, m *memory) {
	want, last, dropped := map[string]string{}, map[string]*event{}, map[string]bool{}
	for _, e := range m.events {
		if e.to[r.name] == "" {
			continue
		}
		if e.done[r.name] == store.StateDropped && !r.has(e) {
			dropped[e.key] = true
			continue
		}
		if last[e.key] = e; e.done[r.name] == store.StateMerged {
			continue
		}
		if want[e.key] = e.record(r.name); e.change == differ.Deleted {
			delete(want, e.key)
		}
	}
	have, least := r.Replica.Records(source), m.least.and(w.running.comparison(source))
	for key, record := range want {
		if string(have[key]) != record {
			w.violated(7, "%s has %s %s as\n%s\nand was sent\n%s%s", r.name, source, key, have[key], record, m.told(r, key))
		}
		if e := last[key]; !dropped[key] && (e.change == differ.Deleted || e.change != differ.Deleted && least.canon(e.record("")) != least.canon(record)) {
			w.violated(7, "%s has %s %s as\n%s\nand its last event is %s%s", r.name, source, key, have[key], e.record(""), m.told(r, key))
		}
		delete(have, key)
	}
	for key := range have {
		w.violated(7, "%s still has %s %s%s", r.name, source, key, m.told(r, key))
	}
}

// told lists the events of a record for a webhook, and what became of them.
func (m *memory) told(r *receiver, key string) string {
	var b strings.Builder
	for _, e := range m.events {
		if e.key == key && e.to[r.name] != "" {
			fmt.Fprintf(&b, "\n  %d %v at %s in life %d: %s, arrived %t", e.sequence, e.change, e.at.Format(time.TimeOnly), e.life, e.done[r.name], r.has(e))
		}
	}
	return b.String()
}

// checkSecrets looks at all that is kept of deliveries.
func (w *world) checkSecrets(st store.Reader) {
	rows, err := st.Deliveries(w.t.Context(), store.DeliveryQuery{Limit: 1 << 30})
	if err != nil {
		w.violated(2, "the deliveries cannot be read: %v", err)
	}
	for _, row := range rows {
		if row.Attempts < 2 {
			continue
		}
		attempts, err := st.Attempts(w.t.Context(), row.EventID, row.Webhook)
		if err != nil {
			w.violated(2, "the attempts cannot be read: %v", err)
		}
		text := fmt.Sprintf("%+v %+v", row, attempts)
		for _, secret := range secretTexts() {
			if strings.Contains(text, secret) {
				w.violated(11, "a secret is in what is kept of a delivery: %s", text)
			}
		}
	}
}
