package store

import (
	"context"
	"time"
)

// Board is where the members of a Shared store write down what is known in one process only, now and then, for the others to show.
// Nothing that must not be wrong goes by it.
type Board interface {
	// Report writes reports down, each in the place of what was reported of the same thing before.
	Report(ctx context.Context, member string, reports []Report) error
	// Reports gives what was reported after a time of the store's clock; the zero time: all there is.
	Reports(ctx context.Context, after time.Time) ([]Report, error)
}

// Report is something that is known in one process only.
type Report struct {
	Part string    // what it is about
	By   string    // the ID of the member; as given to Report
	At   time.Time // by the store's clock
	Body []byte
}
