package poller

import (
	"context"
	"time"

	"github.com/deltahook/deltahook/differ"
)

// TryOptions say what a trial tells while it runs. The callbacks come from the goroutine that called TryPoll; the bytes
// that they get are valid only during the call.
type TryOptions struct {
	Progress func(Progress)
	// Page is called where the records of a page begin, with its number, from 1.
	Page func(number int)
	// Record is called for each record of the answer, in order.
	Record func(key string, body []byte)
	// Change is called for each change that would become an event, in order.
	Change func(c differ.Change)
	// Event is called for each event that would go out; it needs Options.Outlet.
	Event func(e *Event)

	trial *Trial
}

// Trial is what a poll would have done.
type Trial struct {
	Result

	Exchanges []Exchange // the first ones, at most 100
	// Baseline says that the source has no baseline: a real poll would store the records and tell nobody.
	Baseline bool
	Before   int64     // records that were known before
	Writes   int       // rows that would be written
	Keyless  []Keyless // the first records without a usable key, at most 10
}

// Keyless is a record without a usable key.
type Keyless struct {
	Number  int      // among all records of the answer, from 1
	Problem string   // what is where the key should be
	Members []string // the names of its members
}

// Exchange is one request of a trial and its answer, without secrets.
type Exchange struct {
	Method string
	URL    string // without query and user information
	Status int
	Type   string // content type of the answer
	Bytes  int64
}

// TryPoll polls source once with no write and no event sent. Options.Ledger and Outlet may be nil: nothing is known then, and
// there are no events, only changes. A poll that fails is a Trial whose Err says why; one that would be held tells its
// changes all the same. The error is returned when the source cannot be tried at all.
func TryPoll(ctx context.Context, source Source, o Options, t TryOptions) (*Trial, error) {
	ledger := &tryLedger{Ledger: o.Ledger}
	if o.Ledger == nil {
		ledger.Ledger = emptyLedger{}
	}
	o.Ledger, o.Outlet = ledger, &tryOutlet{outlet: o.Outlet, t: &t}
	p, err := New(source, o)
	if err != nil {
		return nil, err
	}
	trial := p.poll(ctx, Occasion{Progress: t.Progress}, &t)
	trial.Writes = ledger.writes
	return trial, nil
}

func (t *TryOptions) skipped(number int, err *differ.KeyError) {
	const most = 10
	if len(t.trial.Keyless) < most {
		t.trial.Keyless = append(t.trial.Keyless, Keyless{Number: number, Problem: err.Error(), Members: err.Members})
	}
}

// tryLedger reads from a store and writes nothing.
type tryLedger struct {
	Ledger

	writes int
}

// Commit consumes the writes, so that all events are made, and forgets them.
func (l *tryLedger) Commit(_ context.Context, c Commit) (Committed, error) {
	if c.Writes != nil {
		for _, err := range c.Writes {
			if err != nil {
				return Committed{}, err
			}
			l.writes++
		}
	}
	return Committed{Version: c.Expect + 1}, nil
}

// emptyLedger knows nothing.
type emptyLedger struct{}

func (emptyLedger) Load(context.Context, string) (State, error) { return State{}, nil }

func (emptyLedger) Prints(context.Context, string, func(Known) bool) error { return nil }

func (emptyLedger) Bodies(context.Context, string, []differ.Hash, func(differ.Hash, string, []byte) error) error {
	return nil
}

func (emptyLedger) Commit(context.Context, Commit) (Committed, error) { return Committed{}, nil }

// tryOutlet shows changes and events instead of sending them.
type tryOutlet struct {
	outlet Outlet
	t      *TryOptions
}

// Event tells the trial of the change.
func (o *tryOutlet) Event(source *Source, sequence int64, at time.Time, c differ.Change) (*Event, error) {
	if o.t.Change != nil {
		o.t.Change(c)
	}
	if o.outlet == nil {
		return &Event{Source: source.Name, Sequence: sequence, Change: c.Kind, Key: c.Key, At: at}, nil
	}
	e, err := o.outlet.Event(source, sequence, at, c)
	if err == nil && o.t.Event != nil {
		o.t.Event(e)
	}
	return e, err
}

// Committed forgets the events.
func (o *tryOutlet) Committed(string, []*Event, bool) {}

// Full never stops a trial.
func (o *tryOutlet) Full(*Source) (string, bool) { return "", false }
