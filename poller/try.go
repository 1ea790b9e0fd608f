package poller

import (
	"context"

	"github.com/deltahook/deltahook/differ"
)

// TryOptions say what a trial tells while it runs. The callbacks come from the goroutine that called TryPoll; the bytes
// that they get are valid only during the call.
type TryOptions struct {
	Progress func(Progress)
	// Record is called for each record of the answer, in order.
	Record func(key string, body []byte)
	// Change is called for each change that would become an event, in order.
	Change func(c differ.Change)
	// Event is called for each event that would go out; it needs Options.Outlet.
	Event func(e *Event)
}

// Trial is what a poll would have done.
type Trial struct {
	Result

	Requests []Exchange // the first ones, at most 100
	// Baseline says that the source has no baseline: a real poll would store the records and tell nobody.
	Baseline bool
	Before   int64    // records that were known before
	Writes   int      // rows that would be written
	Skipped  []string // what is wrong with the first records without a usable key
}

// Exchange is one request of a trial and its answer, without secrets.
type Exchange struct {
	Method string
	URL    string // without query and user information
	Status int
	Type   string // content type of the answer
	Bytes  int64
}

// TryPoll polls source once with no write and no event sent. Options.Ledger may be nil: nothing is known then. A poll that
// fails is a Trial whose Err says why; the error is returned when the source cannot be tried at all.
func TryPoll(ctx context.Context, source Source, o Options, t TryOptions) (*Trial, error) {
	return &Trial{}, nil
}
