package emitter

import (
	"context"
	"fmt"
	"time"
)

// gateNote is a gate that is to be stored.
type gateNote struct {
	queue  *queue
	state  GateState
	insist bool // it is stored, whatever others have stored meanwhile
}

// gateState is what is to be stored now. While the probe of this member is under way, nobody else may probe.
func (q *queue) gateState() GateState {
	state := q.gate.State()
	state.Gen = q.commons.gen
	if end := q.commons.claimEnd; q.gate.Probes() && end.After(state.Until) {
		state.Until, state.Doubt = end, false
	}
	return state
}

func (q *queue) saveGate() { q.record.gate(gateNote{queue: q, state: q.gateState()}) }

// insistGate stores what a person or the receiver wants.
func (q *queue) insistGate() { q.record.gate(gateNote{queue: q, state: q.gateState(), insist: true}) }

func (r *recorder) gate(n gateNote) {
	name := n.queue.webhook.Name
	r.mu.Lock()
	n.insist = n.insist || r.gates[name].insist && r.gates[name].queue == n.queue
	r.gates[name] = n
	r.mu.Unlock()
	signal(r.wake)
}

// unsaved says whether a gate is to be stored.
func (r *recorder) unsaved(webhook string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.gates[webhook]
	return ok
}

func (r *recorder) flushGates(ctx context.Context, gates map[string]gateNote) (refused error) {
	for webhook, note := range gates {
		now, saved, err := r.outbox.SaveGate(ctx, webhook, note.state)
		if err == nil {
			note.queue.gateSaved(note, now, saved)
			continue
		}
		refused = fmt.Errorf("save the gate of %s: %w", webhook, err)
		r.failed("gate", err)
		r.mu.Lock()
		if newer, ok := r.gates[webhook]; ok {
			newer.insist = newer.insist || note.insist
			note = newer
		}
		r.gates[webhook] = note
		r.mu.Unlock()
	}
	return refused
}

// rebase lets what is still to be stored of a gate go on top of a generation that this process has stored.
func (r *recorder) rebase(webhook string, was, is int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, ok := r.gates[webhook]; ok && n.state.Gen == was {
		n.state.Gen = is
		r.gates[webhook] = n
	}
}

// gateSaved hears what became of a gate that was to be stored: it is, or another member was faster. Then the more cautious of the two
// stays, unless somebody insists.
func (q *queue) gateSaved(note gateNote, now GateState, saved bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	name, mine := q.webhook.Name, note.state
	switch {
	case saved:
		q.commons.gen = max(q.commons.gen, now.Gen)
		q.record.rebase(name, mine.Gen, now.Gen)
	case q.record.unsaved(name): // newer, and on top of the same: its turn comes
	case note.insist || mine.graver(now):
		q.turnTo(mine, now.Gen)
		q.record.gate(gateNote{queue: q, state: q.gateState(), insist: note.insist})
	default:
		q.follow(now)
	}
}

// graver says whether a gate lets less through than another one.
func (s GateState) graver(than GateState) bool {
	a, b := s.weight(), than.weight()
	return a > b || a == b && s.State != GateOpen && s.Asked && s.Until.After(than.Until.Add(time.Second))
}

func (s GateState) weight() int {
	switch {
	case s.State == GatePaused && s.Until.IsZero():
		return 3
	case s.State == GatePaused:
		return 2
	case s.State == GateShut:
		return 1
	}
	return 0
}

// follow takes over what another member has found out about the receiver.
func (q *queue) follow(theirs GateState) {
	if q.gate == nil || theirs.Gen <= q.commons.gen {
		return
	}
	was := q.gate.State()
	q.turnTo(theirs, theirs.Gen)
	if theirs.Unsent || theirs.Failures > was.Failures {
		q.heardFailure(theirs.Unsent)
	}
	q.noteTurn(was)
	q.pump(time.Now())
}

// turnTo makes the gate what is stored under a generation.
func (q *queue) turnTo(state GateState, gen int64) {
	now := time.Now()
	state = state.asOf(now)
	state.Until = q.credible(state.Until, now)
	q.commons.gen = gen
	q.unclaim()
	q.gate.Adopt(now, state)
	q.setPace(now)
}

// Adopt makes the gate what another member has made of it. What goes through an open gate here stays as it is.
func (g *Gate) Adopt(now time.Time, state GateState) {
	next := NewGate(state, g.limits)
	next.allows, next.asked = g.allows, state.Asked
	if state.Doubt {
		next.certain, next.firsts, next.freely = false, 1, now.Add(probeMin)
	}
	if g.state.State == GateOpen && next.state.State == GateOpen {
		next.window = g.window
		if state.Slow && g.pace != unlimited {
			next.pace = g.pace
		}
	}
	*g = *next
}

// noteTurn tells of a change of the gate that another member has made.
func (q *queue) noteTurn(was GateState) {
	is := q.gate.State()
	switch {
	case is.State == was.State && is.Until.IsZero() == was.Until.IsZero():
	case is.State == GateShut:
		q.noteFailing(Outcome{Class: Failed, Error: is.Reason})
	case is.State == GatePaused:
		q.notePaused()
	case was.State == GatePaused && was.Until.IsZero():
		q.noteResumed()
	default:
		q.noteRecovered(was)
	}
}

func (q *queue) pauseGate(now time.Time, reason string) {
	q.gate.Pause(now, reason)
	q.insistGate()
	q.notePaused()
}

func (q *queue) noteFailing(o Outcome) {
	state := q.gate.State()
	q.record.note(func(ob *Observer) {
		if ob.Failing != nil {
			ob.Failing(q.webhook.Name, state, o)
		}
	})
}

func (q *queue) notePaused() {
	state := q.gate.State()
	q.record.note(func(ob *Observer) {
		if ob.Paused != nil {
			ob.Paused(q.webhook.Name, state)
		}
	})
}

func (q *queue) noteResumed() {
	q.record.note(func(ob *Observer) {
		if ob.Resumed != nil {
			ob.Resumed(q.webhook.Name)
		}
	})
}

func (q *queue) noteRecovered(was GateState) {
	q.record.note(func(ob *Observer) {
		if ob.Recovered != nil {
			ob.Recovered(q.webhook.Name, was)
		}
	})
}
