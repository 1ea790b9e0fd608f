package poller

import (
	"context"
	"fmt"
)

// Decision is what a person says about a held source.
type Decision uint8

// The decisions. Both take the next poll that can end the hold as it is, without the guard.
const (
	Release Decision = iota + 1 // its changes are events
	Discard                     // its changes are the new state of things, without events
)

// decided says whether a person has decided about the hold. No hold needs no decision.
func (h *Hold) decided() bool { return h != nil && (h.Release || h.Discard) }

// decides says whether a person has decided about what an edit of the identity is about.
func (h *Hold) decides(about string) bool {
	return h.decided() && h.Reason == reasonIdentity && (h.About == about || h.About == "") // former versions did not store it
}

// endsWith says whether a poll that is applied can end the hold: a partial one does not prove what a complete one was held
// for.
func (h *Hold) endsWith(proven bool) bool { return h == nil || proven || h.Partial }

// waitsFor says whether a poll must not be applied because what was discarded is not all in it.
func (h *Hold) waitsFor(proven bool) bool { return h != nil && h.Discard && !h.endsWith(proven) }

// postpone leaves a discard for the next complete poll.
func (p *Poller) postpone(r *Result) {
	r.Verdict, r.Message = Held, "the discard waits for a complete poll: "+r.Message
	r.Hint = "it is carried out as soon as a poll is complete; see deltahook try " + p.source.Name
	p.undo()
}

// set replaces an earlier decision.
func (d Decision) set(s *State) error {
	if s.Held == nil {
		return ErrNotHeld
	}
	held := *s.Held
	held.Release, held.Discard = d == Release, d == Discard
	s.Held = &held
	return nil
}

// Decide takes a person's decision about the hold, durably. ErrNotHeld when there is none.
func (p *Poller) Decide(ctx context.Context, d Decision) error { return p.edit(ctx, d.set) }

// DecideStored is Decide for a source that nobody polls: the next poll carries it out.
func DecideStored(ctx context.Context, l Ledger, source string, d Decision) error {
	state, err := l.Load(ctx, source)
	if err != nil {
		return err
	}
	if err := d.set(&state); err != nil {
		return fmt.Errorf("source %s: %w", source, err)
	}
	_, err = l.Commit(ctx, Commit{Source: source, Expect: state.Version, State: state})
	return err
}
