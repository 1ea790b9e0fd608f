package poller

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
)

// cancelling is an outlet with one webhook, for which each event cancels whatever waits.
type cancelling struct{ *memOutlet }

func (c cancelling) Event(source *Source, sequence int64, at time.Time, change differ.Change) (*Event, error) {
	e, err := c.memOutlet.Event(source, sequence, at, change)
	if err == nil {
		e.To = []Copy{{Webhook: "app", Merge: func(string, []byte, bool) (Merging, []byte) { return Cancelled, nil }}, {Webhook: "plain"}}
	}
	return e, err
}

// outcomes gives what becomes of each event that was handed over since the last time: "updated 2: apart".
func (r *rig) outcomes() string {
	r.t.Helper()
	var list []string
	for _, e := range r.outlet.handed[r.seen:] {
		m, _ := e.To[0].Merge("evt_0", nil, false)
		list = append(list, fmt.Sprintf("%v %s: %s", e.Change, e.Key, []string{"apart", "absorbed", "replaced", "cancelled"}[m]))
	}
	r.seen = len(r.outlet.handed)
	return strings.Join(list, ", ")
}

// P7, T32: a receiver has what it was told. As long as nothing else becomes known, what came and went while it waited is nothing to it.
// After anything that was known without an event it may have the record from before: a deletion must reach it, and the way back too.
func TestT32P7NothingCancelsWhatAReceiverMayHaveFromBefore(t *testing.T) {
	do := func(f func(*Poller, context.Context) error) func(*rig, *shelf) {
		return func(r *rig, _ *shelf) {
			if err := f(r.poller, r.t.Context()); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	reset := func(level ResetLevel) func(*rig, *shelf) {
		return do(func(p *Poller, ctx context.Context) error {
			_, err := p.Reset(ctx, level)
			return err
		})
	}
	away := func(r *rig, _ *shelf) {
		kept := r.ledger.sources["contacts"]
		kept.State, kept.Rows = State{Version: kept.State.Version + 1, Sequence: kept.State.Sequence}, nil
		r.ledger.sources["contacts"] = kept
		r.restart()
	}
	for _, c := range []struct {
		name    string
		initial string
		untell  func(*rig, *shelf) // before a poll
		cancels bool
	}{
		{name: "nothing", untell: func(*rig, *shelf) {}, cancels: true},
		{name: "validators are forgotten", untell: reset(ResetValidators), cancels: true},
		{name: "records are forgotten", untell: reset(ResetRecords)},
		{name: "records are forgotten, and told anew", untell: reset(ResetRecords), initial: "emit"},
		{name: "all is forgotten", untell: reset(ResetAll)},
		{name: "changes are skipped", untell: func(r *rig, s *shelf) {
			s.remove("3")
			do((*Poller).Skip)(r, s)
		}},
		{name: "values are skipped", untell: func(r *rig, s *shelf) {
			s.put("3", "skipped")
			do((*Poller).Skip)(r, s)
		}},
		{name: "nothing is skipped", untell: do((*Poller).Skip), cancels: true},
		{name: "a record is rekeyed", untell: func(r *rig, s *shelf) {
			r.edit(func(s *Source) { s.Key = differ.Paths(paths("id", "id")) })
			do(func(p *Poller, ctx context.Context) error {
				_, err := p.Rekey(ctx)
				return err
			})(r, s)
		}},
		{name: "it was away until it was forgotten", untell: away},
		{name: "it was away until it was forgotten, and is told anew", untell: away, initial: "emit"},
		{name: "a record leaves in silence", untell: func(_ *rig, s *shelf) { s.put("3", "closed") }},
		{name: "an edit excludes a record", untell: func(r *rig, _ *shelf) {
			r.edit(func(s *Source) { s.Where = append(s.Where, conditions(`id != "3"`)...) })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf("1", "2", "3")
			r := newRig(t, s.ServeHTTP, func(s *Source) {
				s.Deletes.Confirm, s.Where, s.WhereExit = 1, conditions(`status != "closed"`), "silent"
				if c.initial != "" {
					s.Initial = c.initial
				}
			})
			r.opts.Outlet = cancelling{r.outlet}
			r.restart()
			r.poll()
			s.put("1", "a")
			s.put("2", "b")
			r.poll()
			c.untell(r, s)
			r.poll()
			r.seen = len(r.outlet.handed)
			r.restart() // it is durable
			s.put("4", "new")
			s.put("2", "c")
			s.remove("1")
			r.poll()
			deleted, other := "replaced", "apart"
			if c.cancels {
				deleted, other = "cancelled", "cancelled"
			}
			key := func(id string) string {
				if len(r.source.Key) == 2 {
					return fmt.Sprintf("[%q,%q]", id, id)
				}
				return id
			}
			if got, want := r.outcomes(), fmt.Sprintf("updated %s: %s, created %s: %s, deleted %s: %s", key("2"), other, key("4"), other, key("1"), deleted); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if e := r.outlet.handed[0]; e.To[1].Merge != nil {
				t.Error("what is not to be merged can be merged")
			}
		})
	}
}

// Before the first event receivers know nothing that could be out of date.
func TestAForgottenBaselineOfWhichNothingWasToldChangesNothing(t *testing.T) {
	s := newShelf("1", "2")
	r := newRig(t, s.ServeHTTP, func(s *Source) { s.Deletes.Confirm = 1 })
	r.want(Complete)
	if _, err := r.poller.Reset(t.Context(), ResetRecords); err != nil {
		t.Fatal(err)
	}
	r.want(Complete)
	if r.ledger.sources["contacts"].State.Untold {
		t.Error("receivers are taken to know what they were never told")
	}
}

func TestT32P7NothingCancelsForAWebhookThatMissedTheEventBefore(t *testing.T) {
	for _, c := range []struct {
		change differ.Kind
		missed bool
		want   Merging
	}{
		{differ.Deleted, true, Replaced},
		{differ.Updated, true, Apart},
		{differ.Deleted, false, Cancelled},
		{differ.Updated, false, Cancelled},
	} {
		e := &Event{Change: c.change, To: []Copy{{Merge: func(string, []byte, bool) (Merging, []byte) { return Cancelled, nil }}}}
		e.keepLast(false)
		if got, _ := e.To[0].Merge("evt_0", nil, c.missed); got != c.want {
			t.Errorf("%v, missed %t: %d, want %d", c.change, c.missed, got, c.want)
		}
	}
}
