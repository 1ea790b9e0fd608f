package simtest

import (
	"context"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

// person does what people do.
func (w *world) person() {
	w.step.Add(1)
	source := w.upstreams[w.chance.IntN(len(w.upstreams))].name
	webhook := w.receivers[1+w.chance.IntN(3)].name
	switch w.chance.IntN(13) {
	case 0:
		w.do(admin.Action{Verb: admin.Poll, Source: source})
	case 1:
		w.paused[source] = true // or perhaps not
		w.do(admin.Action{Verb: admin.Pause, Source: source})
	case 2:
		if w.do(admin.Action{Verb: admin.Resume, Source: source}) {
			delete(w.paused, source)
		}
	case 3:
		w.do(admin.Action{Verb: admin.Pause, Webhook: webhook})
	case 4:
		w.do(admin.Action{Verb: admin.Resume, Webhook: webhook})
	case 5, 6:
		w.help()
	case 7:
		if w.do(admin.Action{Verb: admin.Jump, Source: source}) {
			delete(w.paused, source)
		}
	case 8:
		w.do(admin.Action{Verb: admin.Discard, Source: source})
	case 9:
		w.anew(admin.Edit{Verb: admin.Rekey, Source: source})
	case 10, 11:
		w.anew(admin.Edit{Verb: admin.Reset, Source: source, Level: []string{"validators", "cursor", "records", "records"}[w.chance.IntN(4)]})
	case 12:
		w.alter(webhook)
	}
}

// anew lets records be known anew.
func (w *world) anew(e admin.Edit) {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	w.ask(e.Source, e.Verb)
	w.upstream(e.Source).meddle(true)
	defer w.upstream(e.Source).meddle(false)
	_, err := w.process.client.Edit(ctx, e, false)
	w.say("%s %s %s: %v", e.Verb, e.Level, e.Source, err)
	if err == nil || answered(err) {
		w.ask(e.Source, "")
	}
}

func (w *world) ask(source string, verb admin.Verb) {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	w.asked[source] = verb
}

// alter changes what becomes of deliveries.
func (w *world) alter(webhook string) {
	q := store.DeliveryQuery{Webhook: webhook}
	kind := admin.ChangeKinds()[w.chance.IntN(3)]
	if kind == admin.Replay {
		q.Source, q.Limit = w.upstreams[w.chance.IntN(len(w.upstreams))].name, 20
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	out, err := w.process.client.Change(ctx, admin.Change{Kind: kind, Query: q, By: "the plan"}, false)
	w.say("%s of %s: %d, %v", kind, webhook, out.Deliveries, err)
}

// edit changes the configuration: the process that runs reads it again, or the next one has it.
func (w *world) edit() {
	w.step.Add(1)
	if w.chance.IntN(8) == 0 {
		w.spoil()
		return
	}
	next := w.wanted.clone()
	w.comeBack(next)
	for range 1 + w.chance.IntN(2) {
		switch w.chance.IntN(9) {
		case 0, 1:
			w.editHook(&next.hooks[1+w.chance.IntN(len(next.hooks)-1)])
		case 2, 3:
			w.goAway(next)
		default:
			w.editSource(&next.sources[w.chance.IntN(len(next.sources))])
		}
	}
	if w.chance.IntN(4) > 0 {
		w.reload(next)
		return
	}
	w.stop()
	w.wanted = next
	w.start()
}

func (w *world) editSource(s *sourceSettings) {
	s.edition++
	switch w.chance.IntN(11) {
	case 0:
		s.every = max(w.pace*time.Duration(1+w.chance.IntN(5)), time.Second)
	case 1:
		s.compared.ignore = s.ignoring([]string{"seen", "seen,status", "seen,o", "seen,text,price"}[w.chance.IntN(4)])
	case 2:
		s.compared.fields = []string{"", "id,uid,n,price,status,seen", "id,uid,text,o,status,seen"}[w.chance.IntN(3)]
	case 3:
		s.confirm = 2 + w.chance.IntN(2)
	case 4:
		s.guarded = !s.guarded
	case 5:
		if !s.calm {
			s.to = [][]string{nil, {w.receivers[0].name}, {w.receivers[1].name, w.receivers[3].name}}[w.chance.IntN(3)]
		}
	case 6, 7:
		s.where = []string{"", "s0", "s1", "s0,s1", "s2,s0"}[w.chance.IntN(5)]
		s.silent = s.where != "" && w.chance.IntN(3) == 0
	case 8:
		if s.kind.detail != "" {
			s.details = w.newDetails()
		}
	case 9:
		w.editParts(s)
	case 10:
		forms := []string{byID, byUID}
		if s.kind.pages == "" {
			forms = append(forms, byBoth)
		}
		if !s.kind.verify && !s.calm { // there a key stands in an address
			s.key = forms[w.chance.IntN(len(forms))]
		}
	}
}

func (w *world) editHook(h *hookSettings) {
	switch w.chance.IntN(6) {
	case 0:
		h.inFlight = 1 + w.chance.IntN(8)
	case 1:
		h.order, h.coalesce = []string{"key", "source", "none"}[w.chance.IntN(3)], false
	case 2:
		h.batch = []int{0, 2, 5}[w.chance.IntN(3)]
	case 3:
		h.coalesce = !h.coalesce && h.order != "source"
	case 4, 5:
		h.wants = w.newWish()
	}
}
