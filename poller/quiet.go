package poller

import (
	"context"
	"fmt"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// changed notes that a poll found records other than they were known.
func (s *State) changed(at time.Time) { s.Changed, s.Quiet = at, time.Time{} }

// listen finds out whether the source has become quiet: whether nothing changed for longer than expect_change_within says.
// That people are told is durable, so that a restart tells nobody again.
func (p *Poller) listen(ctx context.Context, r *Result) error {
	state := p.known.state
	quiet := p.tooQuiet(&state, r.At)
	if quiet && r.Message == "" {
		r.Message = fmt.Sprintf("nothing has changed since %s (expect_change_within = %q)",
			state.lastChange().UTC().Format("2006-01-02 15:04 MST"), p.source.ExpectChange)
	}
	if quiet == !state.Quiet.IsZero() {
		return nil
	}
	if state.Quiet = (time.Time{}); quiet {
		state.Quiet = r.At
	}
	if err := p.commit(ctx, Commit{State: state}); err != nil {
		return err
	}
	r.hushed, r.stirred = quiet, !quiet
	return nil
}

// tooQuiet counts the time inside the active hours only: a source that rests at the weekend is not quiet on Monday.
func (p *Poller) tooQuiet(state *State, now time.Time) bool {
	limit, last := p.source.ExpectChange.Std(), state.lastChange()
	return limit > 0 && !last.IsZero() && now.Sub(last) >= limit && p.hours.spent(last, now, limit) >= limit
}

// lastChange gives the time of the last change, or of the baseline.
func (s *State) lastChange() time.Time {
	if s.Changed.IsZero() {
		return s.Baselined
	}
	return s.Changed
}

func (c *check) expectations() {
	s := c.s
	if s.ExpectChange > 0 && s.ExpectChange < max(s.Every, setting.Duration(time.Second)) {
		c.add("", fmt.Sprintf("expect_change_within = %q is shorter than every = %q", s.ExpectChange, s.Every), "expect_change_within")
	}
}
