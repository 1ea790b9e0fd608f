package poller

import (
	"context"
	"errors"
	"fmt"
)

// ErrHeld says that a source waits for a person's decision, which comes first.
var ErrHeld = errors.New("the source is held")

const reasonSkip = "skip"

// taken says how the changes of a poll came to be known without events.
func (h *Hold) taken() string {
	if h.Reason == reasonSkip {
		return "skipped"
	}
	return "discarded"
}

// Skip lets a paused source go on from now: what its next complete poll finds is known from then on, without events. A source that
// is not paused skips as well. An incremental one takes what its cursor finds up to now; what was deleted meanwhile is found, and
// told, by its next whole listing. ErrHeld when a person has to decide about something else first.
func (p *Poller) Skip(ctx context.Context) error {
	return p.edit(ctx, func(s *State) error {
		if s.Held != nil && s.Held.Reason != reasonSkip {
			return fmt.Errorf("%w: %s", ErrHeld, s.Held.Message)
		}
		s.Paused = false
		s.Held = &Hold{
			Reason: reasonSkip, Message: "what changed until the next poll is not told (resume --skip)", Since: p.opts.Now(),
			Partial: p.cursor != nil, Discard: true,
		}
		return nil
	})
}

// PauseStored pauses a source that nobody polls, or lets it go on when somebody does.
func PauseStored(ctx context.Context, l Ledger, source string, paused bool) error {
	state, err := l.Load(ctx, source)
	if err != nil {
		return err
	}
	state.Paused = paused
	_, err = l.Commit(ctx, Commit{Source: source, Expect: state.Version, State: state})
	return err
}
