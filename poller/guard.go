package poller

import (
	"context"
	"fmt"

	"github.com/deltahook/deltahook/differ"
)

// Reasons of a Hold.
const (
	reasonGuard    = "guard"
	reasonIdentity = "identity"
)

// guard says whether a person should look before the changes of a poll are applied; nil when not.
func (p *Poller) guard(s *scan) *Hold {
	state, conf := &p.known.state, p.source.Guard
	exchanges := state.Held.decides(p.about())
	if state.Baselined.IsZero() || state.Held.decided() && (state.Held.endsWith(s.proven) || exchanges && !state.Held.Begun) {
		return nil
	}
	h := &Hold{
		Reason: reasonGuard, Partial: !s.proven,
		Deletes: len(s.deleted) + len(s.forgotten) + s.unclear, Creates: s.counts.Created, Updates: s.counts.Updated,
	}
	known := int(state.Records) - len(s.dropped)
	missing := h.Deletes - s.exits + len(s.absent)
	events := h.Deletes + h.Creates + h.Updates
	switch {
	case conf.Empty == "hold" && s.counts.Records == 0 && missing > 0:
		h.Message = fmt.Sprintf("the list is empty; %d records were known (guard.empty = \"hold\")", known)
	case s.emptied != "":
		h.Message = fmt.Sprintf("the list of partition %s is empty; %d of its records were known (guard.empty = \"hold\")", s.emptied, s.lost)
	case h.Deletes > conf.MinDeletes && float64(h.Deletes) > float64(conf.MaxDeletes)*float64(known):
		h.Message = fmt.Sprintf("%d of %d known records are %s (guard.max_deletes = %q)", h.Deletes, known, s.gone(), conf.MaxDeletes)
	case conf.MaxEvents > 0 && events > conf.MaxEvents:
		h.Message = fmt.Sprintf("this poll would make %d events (guard.max_events = %d)", events, conf.MaxEvents)
	default:
		return nil
	}
	if exchanges { // the same decision is asked for again: it stands as long as no complete poll has carried it out
		h.Reason, h.About, h.Partial = reasonIdentity, p.about(), false
	}
	return h
}

// gone says where records are that would be deleted.
func (s *scan) gone() string {
	const missing, left = "missing in a complete scan", "marked as deleted or do not match where any more"
	switch s.exits {
	case 0:
		return missing
	case len(s.deleted) + len(s.forgotten):
		return left
	}
	return missing + ", " + left
}

func (p *Poller) identityHold() *Hold {
	state := &p.known.state
	if h := state.Held; h != nil && h.About == p.about() && !h.decided() {
		return h // it is asked already
	}
	if left := p.leftPartitions(); len(left) > 0 && !p.known.mixed(p.identity) {
		return &Hold{
			Reason: reasonIdentity, About: p.about(),
			Message: fmt.Sprintf("partitions.values lost %q: their known records would be deleted", left),
		}
	}
	if state.Identity == p.identity {
		return &Hold{
			Reason: reasonIdentity, About: p.about(),
			Message: fmt.Sprintf("the configuration was edited again before the decision about an edit was carried out: the %d known records are as both identify them", state.Records),
		}
	}
	return &Hold{
		Reason: reasonIdentity, About: p.about(),
		Message: fmt.Sprintf("%s: the %d known records may not be the same ones", identityChange(state.Identity, p.identity), state.Records),
	}
}

// hold ends a poll without applying it. The hold is durable, so that a restart does not forget it; one that is there
// already is not written again.
func (p *Poller) hold(ctx context.Context, r *Result, h Hold) error {
	r.Verdict, r.Message = Held, h.Message
	r.Hint = fmt.Sprintf("look: deltahook try %[1]s    apply it: deltahook release %[1]s    take it without events: deltahook discard %[1]s", p.source.Name)
	if h.Reason == reasonIdentity && !p.known.state.Mixed {
		r.Hint += "    keep the records: deltahook rekey " + p.source.Name
	}
	old := p.known.state.Held
	h.Since = r.At
	if old != nil && old.Reason == h.Reason && old.About == h.About && !old.decided() {
		h.Since = old.Since
	}
	if old == nil || old.Reason != h.Reason || old.Partial != h.Partial || old.About != h.About || old.decided() {
		state := p.known.state
		state.Held = &h
		if err := p.commit(ctx, Commit{State: state, Poll: &r.Poll}); err != nil {
			return err
		}
	}
	p.known.state.Held = &h
	p.undo()
	return nil
}

// undo drops what a poll that is not applied did to the index.
func (p *Poller) undo() {
	if p.known != nil && p.known.dirty {
		p.known.index, p.known.dirty = nil, false
	}
}

// lift ends a hold whose reason is gone.
func (p *Poller) lift(ctx context.Context, r *Result) error {
	state := p.known.state
	state.Held = nil
	r.released = true
	return p.commit(ctx, Commit{State: state})
}

// changeOf gives the change that an event tells of.
func (p *Poller) changeOf(e *entry) differ.Change {
	return differ.Change{Kind: e.kind, Key: string(e.key), Record: p.shape.Project(nil, e.body), Delta: e.delta}
}
