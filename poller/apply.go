package poller

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/deltahook/deltahook/differ"
)

// apply makes the changes of a poll durable, with their events and the new state, or finds that there is nothing to write.
func (p *Poller) apply(ctx context.Context, w *walk, r *Result) error {
	m, s := p.known, w.scan
	proven := s.proven && !s.unfinished
	next := m.state
	next.Compare = p.compare
	next.Mixed = m.state.Mixed || m.state.established() && m.state.Identity != p.identity
	next.Identity = p.identity
	next.Details = p.completed(&m.state, !s.retry && w.reach.full && w.parts.all())
	cursor, moved := w.advance(r.At, !s.unfinished)
	if p.cursor != nil {
		next.Cursor = cursor.encode()
	}
	if last := !w.more || !next.Held.decided(); last && next.Held.endsWith(s.proven) && !s.unfinished { // a decision is about all windows up to now
		next.Held, next.Mixed = nil, false
	}
	if h := next.Held; h.decides(p.about()) && !h.Begun {
		begun := *h
		begun.Begun, begun.About = true, p.about()
		next.Held = &begun
	}
	edits, all, err := w.outdated()
	if err != nil {
		return err
	}
	next.Edits = edits
	next.Partitions = w.remembers(proven)
	anew := m.state.Version > 0 && m.state.Compare != p.compare
	if anew {
		s.disown(edits != nil && !all)
	}
	if err := s.remarkAll(all); err != nil {
		return err
	}
	if m.mixed(p.identity) && !next.Mixed && m.state.established() {
		if err := s.estrange(); err != nil {
			return err
		}
	}
	if next.Baselined.IsZero() && !s.unfinished && !w.more {
		next.Baselined = r.At
	}
	sound := proven && r.Verdict == Complete || !w.reach.full && !w.moved() && s.counts.Skipped == 0 && !s.retry
	next.Validators = p.fresh(w, r.At, sound && !s.retry)
	next.Sequence += int64(s.spool.events)
	next.Records = int64(s.index.Len())
	if s.spool.count == 0 && !anew && m.state.Held == next.Held && m.state.Identity == p.identity && m.state.Mixed == next.Mixed && !m.state.Baselined.IsZero() && slices.Equal(m.state.Details, next.Details) && m.state.Edits.equal(next.Edits) && next.Partitions.equal(m.state.Partitions) {
		if sound && !s.unfinished {
			r.Verdict = Unchanged
		}
		if !moved {
			r.More = w.more && w.ahead != m.ahead
			p.unchanged(next.Validators, cursor, sound, w)
			return nil
		}
	}
	ended := m.state.Held != nil && next.Held == nil
	r.baselined, r.released = m.state.Baselined.IsZero() && !next.Baselined.IsZero(), p.released || ended
	if ended && m.state.Held.Discard {
		r.Message = fmt.Sprintf("%s: %d created, %d updated and %d deleted records are known now, without events", m.state.Held.taken(), r.Created, r.Updated, r.Deleted)
	}
	if r.baselined || r.Created+r.Updated+r.Deleted > 0 {
		next.changed(r.At)
		r.stirred = !m.state.Quiet.IsZero()
	}
	next.Untold = next.Untold || s.spool.untold && next.untold()
	events := &handover{careful: next.Untold}
	r.Events, r.Quiet = s.spool.events, s.quiet
	r.Took = p.opts.Now().Sub(r.At)
	c := Commit{State: next, Writes: p.writes(s, m.state.Sequence, r.At, events, anew), Poll: &r.Poll}
	if err := p.commit(ctx, c); err != nil {
		r.Events, r.baselined, r.released, r.stirred = 0, false, p.released, false
		return err
	}
	m.validators, m.dirty = next.Validators, false
	r.More = w.more && (cursor.Watermark != m.cursor.Watermark || w.ahead != m.ahead)
	m.cursor, m.ahead = cursor, w.ahead
	p.recall(m)
	if proven {
		m.missing = len(s.absent) + s.unclear
	}
	if s.spool.events > 0 && events.err == nil {
		p.opts.Outlet.Committed(p.source.Name, events.list, !events.overflow)
	}
	return nil
}

// unchanged takes in what a poll that changed nothing has found out all the same.
func (p *Poller) unchanged(v Validators, c cursorState, sound bool, w *walk) {
	m := p.known
	if m.cursor, m.ahead = c, w.ahead; !sound {
		return
	}
	m.validators = v
	if w.reach.full {
		m.missing = w.scan.unclear
	}
}

// fresh gives the validators that belong to the records as they are after this poll: none when the answer proves less than
// a whole listing.
func (p *Poller) fresh(w *walk, at time.Time, proven bool) Validators {
	v := w.got
	if !proven || v.ETag == "" && v.LastModified == "" {
		return Validators{}
	}
	v.URL, v.At = p.address(w.values), at
	return v
}

// handover collects the events of a commit for the outlet, as long as they are few.
type handover struct {
	list     []*Event
	bytes    int
	overflow bool
	careful  bool  // nothing that waits is known to be all that receivers have heard of a record
	err      error // of making an event or reading the spool: the commit is aborted
}

const (
	handoverEvents = 2000
	handoverBytes  = 16 << 20
)

func (h *handover) add(e *Event) {
	size := len(e.Body)
	for _, c := range e.To {
		size += len(c.Body)
	}
	if h.overflow || len(h.list) >= handoverEvents || h.bytes+size > handoverBytes {
		h.overflow = true
		return
	}
	h.list = append(h.list, e)
	h.bytes += size
}

var errStopped = errors.New("the store stopped reading")

// writes yields what is on the spool, with an event for each change that is news. When the records are compared anew, all
// other fingerprints follow.
func (p *Poller) writes(s *scan, sequence int64, at time.Time, events *handover, anew bool) iter.Seq2[Write, error] {
	writes := func(yield func(Write, error) bool) {
		err := s.spool.each(func(e *entry) error {
			w := Write{Known: e.known, Key: string(e.key), Body: e.body}
			if e.kind == differ.Deleted {
				w.Body, w.Remove = nil, true
			}
			if e.kind != 0 && !e.quiet {
				sequence++
				event, err := p.opts.Outlet.Event(p.source, sequence, at, p.changeOf(e))
				if err != nil {
					return fmt.Errorf("event of record %q: %w", e.key, err)
				}
				event.keepLast(events.careful)
				w.Event = event
				events.add(event)
			}
			if !yield(w, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil {
			if !errors.Is(err, errStopped) {
				events.err = err
				yield(Write{}, err)
			}
			return
		}
		if anew {
			s.index.All(func(h differ.Hash, print differ.Print, missing int) bool {
				return yield(Write{Known: Known{Hash: h, Print: print, Missing: missing}}, nil)
			})
		}
	}
	if s.spool.count < manyWrites {
		return writes
	}
	return ahead(writes)
}

// commit writes the state of the source as the successor of the one that is known. A commit that has begun is not
// interrupted: its outcome would not be known.
func (p *Poller) commit(ctx context.Context, c Commit) error {
	c.Source, c.Expect = p.source.Name, p.known.state.Version
	done, err := p.opts.Ledger.Commit(context.WithoutCancel(ctx), c)
	if err == nil {
		p.known.state = c.State
		p.known.state.Version = done.Version
		return nil
	}
	p.forget()
	switch {
	case errors.Is(err, ErrFenced):
		return &fault{message: "another member owns the source now", hint: "it goes on there", cause: err}
	case errors.Is(err, ErrConflict):
		return &fault{message: "the state of the source was changed by somebody else meanwhile", hint: "it is loaded again; nothing was changed", cause: err}
	}
	// Whatever was committed is in the store. The outlet reads it from there, now or when the state is loaded again.
	p.unsure, p.lost = true, c.Expect
	p.opts.Outlet.Committed(p.source.Name, nil, false)
	return &fault{message: "the store did not take the poll: " + err.Error(), hint: "it is loaded again; what was committed is not lost", cause: err}
}

// edit changes the durable state between two polls.
func (p *Poller) edit(ctx context.Context, change func(*State) error) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.giveBack()
	if err := p.load(ctx); err != nil {
		return err
	}
	state := p.known.state
	if err := change(&state); err != nil {
		return err
	}
	return p.commit(ctx, Commit{State: state})
}

// SetPaused pauses the source or lets it go on, durably.
func (p *Poller) SetPaused(ctx context.Context, paused bool) error {
	return p.edit(ctx, func(s *State) error {
		s.Paused = paused
		return nil
	})
}
