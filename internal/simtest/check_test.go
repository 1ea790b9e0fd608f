package simtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// P11: credentials go to the origin that they are for, and nowhere else.
func (w *world) checkCredentials(u *upstream, q *http.Request) {
	if q.Header.Get("X-Api-Key") != sourceKey || q.URL.Query().Get("api_key") != sourceQuery {
		w.violated(11, "%s is asked without its credentials: %s", u.name, q.URL)
	}
}

func (w *world) foreign(rw http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	for _, secret := range secretTexts() {
		var head bytes.Buffer
		_ = q.Header.Write(&head)
		if strings.Contains(head.String()+q.URL.String()+string(body), secret) {
			w.violated(11, "a host that the server named gets a secret: %s %s", q.Method, q.URL)
		}
	}
	rw.WriteHeader(http.StatusNoContent)
}

// incoming checks a delivery: what is sent was committed before (P1), in exactly these bytes under exactly this id (P3), and for this
// webhook (P2). It gives the events that it carries, and the number of the process that sends.
func (w *world) incoming(r *receiver, q *http.Request) ([]*event, int) {
	w.step.Add(1)
	body, err := io.ReadAll(q.Body)
	q.Body = io.NopCloser(bytes.NewReader(body))
	life := int(w.life.Load())
	if err != nil {
		return nil, life // the sender has died
	}
	id := q.Header.Get("webhook-id")
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	w.checkHook(r)
	if len(body) == 0 || body[0] != '[' {
		return w.carried(r, body, w.truth.found(w.truth.events[id], func(e *event) bool { return e.id == id }), id), life
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(body, &parts); err != nil {
		w.violated(3, "%s gets a batch that is none: %v", r.name, err)
	}
	var events []*event
	for _, part := range parts {
		in, err := hooktest.ParseEvent("", part)
		if err != nil {
			w.violated(3, "%s gets a batch %s: %v", r.name, id, err)
			continue
		}
		at := place{in.Source, in.Sequence}
		e := w.truth.found(w.truth.places[at], func(e *event) bool { return e.place() == at })
		events = append(events, w.carried(r, part, e, fmt.Sprintf("event %d of %s", in.Sequence, in.Source))...)
	}
	return events, life
}

// carried checks one event of a delivery.
func (w *world) carried(r *receiver, body []byte, e *event, name string) []*event {
	switch {
	case e == nil:
		w.violated(1, "%s gets %s, which was never committed: %s", r.name, name, body)
		return nil
	case e.to[r.name] == "":
		w.violated(2, "%s gets %s, which is not for it", r.name, name)
	case e.to[r.name] != string(body) && !w.truth.merging(e, r.name, string(body)):
		w.violated(3, "%s gets %s as\n%s\nand it was committed as\n%s", r.name, name, body, e.to[r.name])
	}
	return []*event{e}
}

// checkOrder holds a delivery against P4: no earlier event of what has to keep an order is still on its way, but in the same batch.
func (w *world) checkOrder(r *receiver, order string, events []*event) {
	if order == "none" {
		return
	}
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	for i, in := range events {
		before := w.truth.before(in, r.name, order)
		if before != nil && before.done[r.name] == "" && !before.again[r.name] && !r.has(before) && !slices.Contains(events[:i], before) {
			w.violated(4, "%s gets event %d of %s %s while %d is still on its way%s", r.name, in.sequence, in.source, in.key, before.sequence, w.truth.of(in.source).told(r, in.key))
		}
	}
}

// before gives the event that an event has to wait for; what that one waits for is its own matter.
func (t *truth) before(in *event, webhook, order string) *event {
	for _, e := range slices.Backward(t.of(in.source).events) {
		if e.sequence < in.sequence && e.to[webhook] != "" && e.done[webhook] != store.StateMerged && (order != "key" || e.key == in.key) {
			return e
		}
	}
	return nil
}

// checkCommit holds what a poll found against what upstream had, by the settings that may be in force.
func (w *world) checkCommit(source string, m *memory, c *commit) {
	u := w.running.source(source).upstream
	u.mu.Lock()
	defer u.mu.Unlock()
	first := &violation{promise: 10, text: source + " is read, and is not configured"}
	fits := false
	for i, all := range w.candidates(c.begun) {
		s := all.source(source)
		if s.away {
			continue
		}
		poll := reading{w: w, u: u, m: m, c: c, s: s, all: all, to: w.step.Load()}
		if n := len(u.scans); n > 0 {
			poll.from = u.scans[n-1].from
		}
		if poll.check(); poll.broken == nil {
			if !fits {
				c.by, c.parts = s.compared, s.parts
			}
			fits, c.perhaps = true, append(c.perhaps, s.compared)
		} else if i == 0 {
			first = poll.broken
		}
	}
	if !fits {
		w.violated(first.promise, "%s", first.text)
	}
}

// reading is one poll that is checked by some settings.
type reading struct {
	w        *world
	u        *upstream
	m        *memory
	c        *commit
	s        *sourceSettings
	all      *settings
	from, to int64      // steps
	broken   *violation // the first one
}

func (r *reading) violated(promise int, format string, args ...any) {
	if r.broken == nil {
		r.broken = &violation{promise: promise, text: fmt.Sprintf(format, args...)}
	}
}

func (r *reading) check() {
	if r.c.forget != poller.ForgetNothing {
		r.rekeyed()
		return
	}
	if was := r.m.state.Baselined; !was.IsZero() && !r.c.state.Baselined.Equal(was) {
		r.violated(10, "%s has lost its baseline", r.u.name)
	}
	sequence := r.m.state.Sequence
	for i := range r.c.writes {
		wr := &r.c.writes[i]
		if wr.key == "" {
			wr.key = r.m.keys[wr.hash]
		}
		if wr.event == nil {
			r.silent(wr)
			continue
		}
		if sequence++; wr.event.sequence != sequence {
			r.violated(3, "event %d of %s follows %d", wr.event.sequence, r.u.name, sequence-1)
		}
		r.told(wr)
	}
	if sequence != r.c.state.Sequence {
		r.violated(1, "%s is at sequence %d, its events are at %d", r.u.name, r.c.state.Sequence, sequence)
	}
}

// told checks a change that is announced.
func (r *reading) told(wr *write) {
	e := wr.event
	was, known := r.m.known[e.key]
	parsed, err := hooktest.ParseEvent(e.id, []byte(e.body))
	if err != nil {
		r.violated(3, "event %s: %v", e.id, err)
		return
	}
	if r.m.state.Baselined.IsZero() && r.s.initial == "baseline" {
		r.violated(9, "%s tells of %s before its baseline", r.u.name, e.key)
	}
	if have, want := slices.Sorted(maps.Keys(e.to)), r.all.receivers(r.s, &parsed); !slices.Equal(have, want) {
		r.violated(2, "event %d of %s is for %v, configured is %v:\n%s", e.sequence, r.u.name, have, want, e.body)
	}
	if r.reidentified() && !r.exchanged() {
		r.violated(10, "%s tells of %s, and nobody has decided what an edit of its identity means", r.u.name, e.key)
	}
	record := string(parsed.Record)
	if e.change != differ.Deleted && !r.seen(e.key, record, r.s.follows) {
		r.violated(7, "%s %s is not followed, and told of:\n%s", r.u.name, e.key, record)
	}
	switch e.change {
	case differ.Created:
		if known {
			r.violated(7, "%s %s is created, and was known", r.u.name, e.key)
		}
		if r.s.initial == "baseline" && r.partState(idOf(e.key)) == unread {
			r.violated(9, "%s tells of %s, and its list was never read before", r.u.name, e.key)
		}
		r.genuine(e.key, record)
		r.joined(e.key, record)
	case differ.Updated:
		if !known {
			r.violated(7, "%s %s is updated, and was not known", r.u.name, e.key)
			return
		}
		r.genuine(e.key, record)
		r.explained(e.key, was, record)
	case differ.Deleted:
		if !known {
			r.violated(7, "%s %s is deleted, and was not known", r.u.name, e.key)
		}
		r.proven(e.key)
	default:
		r.violated(7, "%s %s is %v", r.u.name, e.key, e.change)
	}
}

// genuine holds a record against P8: upstream had it, to the byte, while it was read.
func (r *reading) genuine(key, record string) {
	if r.s.details.on404 == "list" && r.u.denies(idOf(key), r.from, r.to) && r.s.entryOnly(idOf(key), record) {
		return
	}
	exact := r.s.compared.fields == "" && r.u.kind.detail != "members"
	if exact && !r.u.history.had(idOf(key), r.from, r.to, func(body string) bool { return body == record }) {
		r.violated(8, "%s %s was never\n%s\nbut\n%v", r.u.name, key, record, r.u.history.was[idOf(key)])
	}
	if canon := r.s.compared.canon(record); !exact && !r.u.history.had(idOf(key), r.from, r.to, func(body string) bool { return r.s.compared.canon(body) == canon }) {
		r.violated(8, "%s %s was never\n%s", r.u.name, key, record)
	}
}

// explained holds an update against P10: something changed that counts, not only what counts.
func (r *reading) explained(key string, was known, record string) {
	now := r.s.compared
	if was.by == now && len(was.over) == 0 {
		if now.canon(was.body) == now.canon(record) {
			r.violated(7, "%s %s is updated, and nothing has changed in\n%s\n%s", r.u.name, key, was.body, record)
		}
		return
	}
	// It has changed in what counted before, or what counts now and did not before has changed since the edit.
	changed := func(body string) bool {
		return slices.ContainsFunc(append(slices.Clone(was.over), was.by), func(c comparison) bool { return c.canon(body) != c.canon(was.body) })
	}
	if r.missedEdit(key, r.m.edited) || r.u.history.had(idOf(key), r.from, r.to, changed) || r.u.history.differs(idOf(key), r.m.edited, now) {
		return
	}
	r.violated(10, "%s %s is updated because of an edit (%v, was %v):\n%s\n%s", r.u.name, key, now, was.by, was.body, record)
}

// proven holds a deletion against P6: each of the listings that are needed lacked the record at some moment while it was read.
func (r *reading) proven(key string) {
	released, _ := r.decided()
	if r.exchanged() && (formOf(key) != r.s.key || r.strayed(key)) {
		return
	}
	if !r.lacked(key, r.from, r.to, r.s.details.on404 == "deleted") {
		r.violated(6, "%s %s is deleted, and was there all the time from step %d to %d", r.u.name, key, r.from, r.to)
	}
	if r.exited(key) && r.left(key) {
		return
	}
	if n := len(r.u.scans); n > 0 && r.u.scans[n-1].partial {
		r.violated(6, "%s %s is deleted, and only what had changed was asked for", r.u.name, key)
	}
	need := r.s.confirm - 1
	if released {
		need = 0 // a person has looked
	}
	if n := len(r.u.scans); n > 0 && !r.u.scans[n-1].of(r.s, key) {
		r.violated(6, "%s %s is deleted, and its list was not read%s", r.u.name, key, r.story(key))
	}
	for _, s := range slices.Backward(r.u.scans[:max(len(r.u.scans)-1, 0)]) {
		if need == 0 {
			return
		}
		if !s.complete && !s.perhaps || !s.of(r.s, key) {
			continue
		}
		if s.lied || r.s.kind.verify { // a list that is read while it changes may lack what is there
			need--
			continue
		}
		lacked := r.lacked(key, s.from, s.to, r.u.believed[s.edition])
		if s.perhaps && !lacked {
			continue
		}
		if !lacked {
			r.violated(6, "%s %s is deleted, and a listing before (steps %d to %d) had it%s", r.u.name, key, s.from, s.to, r.story(key))
		}
		need--
	}
	if need > 0 {
		r.violated(6, "%s %s is deleted after too few complete listings%s", r.u.name, key, r.story(key))
	}
}

// lacked says that a listing that was read between two steps did not have the record all the time, or that its address said so and is
// believed.
func (r *reading) lacked(key string, from, to int64, believed bool) bool {
	return !r.u.history.throughout(idOf(key), from, to, r.s.follows) || believed && r.u.denies(idOf(key), from, to)
}

// story tells when a record was there, and of the last listings.
func (r *reading) story(key string) string {
	var b strings.Builder
	for _, v := range r.u.history.was[idOf(key)] {
		fmt.Fprintf(&b, "\n  from step %d to %d, followed %t: %.400s", v.from, v.to, r.s.follows(v.body), r.s.compared.canon(v.body))
	}
	for _, s := range r.u.scans[max(len(r.u.scans)-r.s.confirm-2, 0):] {
		fmt.Fprintf(&b, "\n  listing %+v", s)
	}
	return b.String()
}

// exited says whether a record was seen, or may have been, as one that the source does not follow: nothing more needs to be proven.
func (r *reading) exited(key string) bool {
	return r.s.where != "" && r.u.history.had(idOf(key), r.from, r.to, func(body string) bool { return !r.s.follows(body) })
}

// silent checks a change that is written down and not announced: the baseline, a record that is missed for the first time, one
// that only looks different, and what only an edit brought to light.
func (r *reading) silent(wr *write) {
	if _, discarded := r.decided(); discarded || r.m.state.Baselined.IsZero() || wr.body == "" && !wr.remove {
		return
	}
	was, known := r.m.known[wr.key]
	if !known && wr.body != "" && r.partState(idOf(wr.key)) != wasRead && r.s.initial == "baseline" {
		return
	}
	if wr.remove && r.s.silent && r.exited(wr.key) || wr.remove && known && r.excluded(wr.key, was) || !known && r.included(wr.key, wr.body) {
		return
	}
	if wr.remove || !known {
		r.violated(1, "%s %s comes or goes, and nobody is told (removed %t, where %q, before %q):\n%s\n%s%s", r.u.name, wr.key, wr.remove, r.s.where, r.formers(), was.body, wr.body, r.story(wr.key))
		return
	}
	both := was.by.and(r.s.compared)
	for _, c := range was.over {
		both = both.and(c)
	}
	if both.canon(was.body) != both.canon(wr.body) {
		r.violated(1, "%s %s changes, and nobody is told (%v, was %v, %v):\n%s\n%s%s", r.u.name, wr.key, r.s.compared, was.by, was.over, was.body, wr.body, r.story(wr.key))
	}
}

// allRead notes that each record was read with the comparison that is configured.
func (w *world) allRead(source string, begun time.Time) {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	if w.other != nil || begun.Before(w.reloaded) {
		return // nobody knows by which
	}
	m := w.truth.of(source)
	m.selections = []string{w.running.source(source).where}
	for key, k := range m.known {
		k.by, k.over = w.running.comparison(source), nil
		m.known[key] = k
	}
}

// checkStore holds a store that is opened against what was confirmed to the processes before (P1, P2).
func (w *world) checkStore(st store.Store) {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	rows, err := st.Sources(w.t.Context())
	if err != nil {
		w.violated(1, "the store cannot be read: %v", err)
		return
	}
	stored := map[string]poller.State{}
	for _, row := range rows {
		stored[row.Name] = row.State
	}
	for source, m := range w.truth.sources {
		state, listed := stored[source]
		if !listed {
			if state, err = st.Look().Load(w.t.Context(), source); err != nil {
				w.violated(1, "the store cannot be read: %v", err)
				return
			}
			w.gone(source, m, state)
		}
		if m.maybe != nil && state.Version == m.maybe.expect+1 {
			w.truth.apply(source, m.maybe)
		}
		m.maybe = nil
		if state.Version != m.state.Version || state.Sequence != m.state.Sequence || state.Records != int64(len(m.known)) {
			w.violated(1, "the store has version %d, sequence %d and %d records of %s; confirmed were %d, %d and %d",
				state.Version, state.Sequence, state.Records, source, m.state.Version, m.state.Sequence, len(m.known))
		}
		w.checkRecords(st, source, m)
	}
	w.checkDeliveries(st)
}

// checkRecords holds the records that are stored against those that were confirmed.
func (w *world) checkRecords(st store.Store, source string, m *memory) {
	found := 0
	err := st.Look().Bodies(w.t.Context(), source, slices.Collect(maps.Keys(m.keys)), func(_ differ.Hash, key string, body []byte) error {
		k, known := m.known[key]
		if found++; !known || string(body) != k.body {
			w.violated(1, "the store has %s %s as %s, confirmed was %s", source, key, body, k.body)
		}
		return nil
	})
	if err != nil || found != len(m.known) {
		w.violated(1, "the store has %d records of %s (%v), confirmed were %d", found, source, err, len(m.known))
	}
}

// checkDeliveries holds each event, for each webhook, against what was confirmed of it.
func (w *world) checkDeliveries(st store.Reader) {
	rows, err := st.Deliveries(w.t.Context(), store.DeliveryQuery{Limit: 1 << 30})
	if err != nil {
		w.violated(2, "the deliveries cannot be read: %v", err)
		return
	}
	states := map[[2]string]string{}
	for _, row := range rows {
		states[[2]string{row.EventID, row.Webhook}] = row.State
	}
	for id, e := range w.truth.events {
		for webhook := range e.to {
			state := states[[2]string{id, webhook}]
			dropped := state == store.StateDropped && e.droppable[webhook]
			if how := e.done[webhook]; state == "" || how != "" && how != state && !dropped {
				w.violated(2, "event %d of %s for %s is %q in the store; confirmed was %q", e.sequence, e.source, webhook, state, how)
			}
			if state == store.StateDelivered && !w.receiver(webhook).has(e) {
				w.violated(2, "event %d of %s is delivered, and %s never got it", e.sequence, e.source, webhook)
			}
			w.settledAs(e, webhook, state) // its confirmation did not come through
		}
	}
}

// checkLively holds the process against P5 and P12: what nothing is wrong with goes on, and nothing stops for ever.
func (w *world) checkLively() {
	if w.process == nil || w.ills.any() || w.other != nil {
		return
	}
	since := w.process.started
	if w.reloaded.After(since) {
		since = w.reloaded
	}
	if healed := w.ills.since(); healed.After(since) {
		since = healed
	}
	now := time.Now()
	for i := range w.running.sources {
		s := &w.running.sources[i]
		s.mu.Lock()
		asked := s.asked
		s.mu.Unlock()
		if asked.Before(since) {
			asked = since
		}
		switch idle := now.Sub(asked); {
		case w.paused[s.name], s.away, w.undecided(s):
		case s.calm && w.polls.well(s.name) && idle > 2*s.every+time.Minute:
			w.violated(5, "%s is well and was not asked for %s, it should be every %s", s.name, idle, s.every)
		case idle > 2*s.every+3*time.Hour && !w.full(s):
			w.violated(12, "%s was not asked for %s", s.name, idle)
		}
	}
	w.checkSteady(since, now)
	w.checkForgotten(since)
	w.checkAlerts(since)
}

// undecided says that a source waits for a person to say what an edit of its identity means, and is not asked.
func (w *world) undecided(s *sourceSettings) bool {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	held := w.truth.of(s.name).state.Held
	return held != nil && held.Reason == "identity"
}

// checkSteady wants what is for a webhook that is well to arrive at once, whatever happens to others.
func (w *world) checkSteady(since, now time.Time) {
	const patience = 2 * time.Minute
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	r := w.receivers[0]
	for _, m := range w.truth.sources {
		for _, e := range slices.Backward(m.events) {
			if e.life != int(w.life.Load()) || e.at.Before(since) {
				break
			}
			if e.to[r.name] != "" && now.Sub(e.at) > patience && !r.has(e) {
				w.violated(5, "%s is well and did not get event %d of %s after %s", r.name, e.sequence, e.source, now.Sub(e.at))
			}
		}
	}
}

// checkAlerts wants somebody to be told of each source that fails.
func (w *world) checkAlerts(since time.Time) {
	w.polls.mu.Lock()
	defer w.polls.mu.Unlock()
	if w.polls.since.Before(since) {
		return
	}
	for source, n := range w.polls.failed {
		if w.running.source(source).away {
			continue
		}
		if said := w.journal.alerted(source); n > 0 && !said || n == 0 && said && w.polls.good[source] {
			w.violated(12, "%s has failed %d times in a row; said that it is failing: %v", source, n, said)
		}
	}
}

// full says whether a webhook of a source waits for room.
func (w *world) full(s *sourceSettings) bool {
	for _, h := range w.running.hooks {
		if h.maxQueue < 1000 && !h.away && (len(s.to) == 0 || slices.Contains(s.to, h.name)) {
			return true
		}
	}
	return false
}
