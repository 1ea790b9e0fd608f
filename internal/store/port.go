package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/poller"
)

// ErrNotEmpty says that a store has something in it already.
var ErrNotEmpty = errors.New("the store is not empty")

// Port is how the whole content of a store goes into another one, whatever the two are.
type Port interface {
	// Export gives every row there is, as of one moment: Origin first, then the kinds of rows in the order in which they
	// stand below. What may be deleted anyway is left out, and so is who owns what.
	Export(ctx context.Context, yield func(Row) error) error
	// Import takes all rows in, or none. It fails with ErrNotEmpty where anything was committed before. Seed is another one
	// afterwards.
	Import(ctx context.Context, rows iter.Seq2[Row, error]) error
}

// Row is one of the structs below.
type Row any

// Origin is what the rows have in common.
type Origin struct {
	Seed    differ.Seed
	LastSeq int64 // the highest Seq that was ever given
}

// PortSource is a source, also one whose state was deleted.
type PortSource struct {
	Name                       string
	Version, Sequence, Records int64
	Polls                      int64 // that are, or were, in its history
	State                      poller.State
	ETag, Modified, Cursor     []byte // of State, byte for byte
	Committed, Removed, Purged time.Time
}

// PortPoll is a line of a source's history.
type PortPoll struct {
	Source string
	Number int64
	Body   string
}

// PortRecord is a known record.
type PortRecord struct {
	Source string
	poller.Known
	Key  []byte
	Body []byte
}

// PortSecret is a value of a source's vault.
type PortSecret struct {
	Source, Name string
	Value        []byte
}

// PortEvent is an event.
type PortEvent struct {
	Seq      int64
	ID       string
	Source   string
	Sequence int64
	Type     string
	Change   differ.Kind
	Key      []byte
	At       time.Time
	Body     []byte
}

// PortDelivery is an event on its way to a webhook, or settled.
type PortDelivery struct {
	Seq                               int64
	Webhook, Source                   string
	State                             string
	Attempts, Tries, Status           int
	Replay                            bool
	Loose, MergedInto                 int64
	Since, NextAt, SettledAt, TriedAt time.Time
	Took                              time.Duration
	Reason, Cause, Batch              string
	Body                              []byte // nil when it is the event's
}

// PortAttempt is a failed attempt.
type PortAttempt struct {
	Seq     int64
	Webhook string
	Ordinal int
	emitter.Attempt
}

// PortGate is a durable gate.
type PortGate struct {
	Webhook string
	State   string
}

// Tally counts rows of a kind; Sum is of all their bytes, whatever their order.
type Tally struct {
	Rows int64
	Sum  [sha256.Size]byte
}

// Tallies are of a whole export, by kind.
type Tallies map[string]Tally

// Add takes a row in.
func (t Tallies) Add(r Row) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("%T: %w", r, err)
	}
	kind := fmt.Sprintf("%T", r)
	sum, old := sha256.Sum256(text), t[kind]
	carry := uint64(0) // one sum of four numbers, so that equal rows do not cancel each other
	for i := 0; i < len(sum); i += 8 {
		n := binary.LittleEndian.Uint64(old.Sum[i:]) + binary.LittleEndian.Uint64(sum[i:]) + carry
		binary.LittleEndian.PutUint64(old.Sum[i:], n)
		carry = 0
	}
	old.Rows++
	t[kind] = old
	return nil
}

// Copied is what a copy came to.
type Copied struct{ Sources, Records, Events, Deliveries int64 }

// Copy takes everything from one store to another one, which must be empty, and compares the two. Nobody else may write to either
// meanwhile. The target has to be opened anew before it is used.
func Copy(ctx context.Context, from, to Port) (Copied, error) {
	sent := Tallies{}
	if err := to.Import(ctx, rowsOf(ctx, from, sent)); err != nil {
		return Copied{}, err
	}
	arrived := Tallies{}
	if err := to.Export(ctx, arrived.Add); err != nil {
		return Copied{}, fmt.Errorf("read the copy: %w", err)
	}
	for _, row := range []Row{Origin{}, PortSource{}, PortPoll{}, PortRecord{}, PortSecret{}, PortEvent{}, PortDelivery{}, PortAttempt{}, PortGate{}} {
		if kind := fmt.Sprintf("%T", row); sent[kind] != arrived[kind] {
			return Copied{}, fmt.Errorf("the copy differs: of %s %d were sent and %d arrived; do not use it", kind, sent[kind].Rows, arrived[kind].Rows)
		}
	}
	return Copied{
		Sources: sent["store.PortSource"].Rows, Records: sent["store.PortRecord"].Rows,
		Events: sent["store.PortEvent"].Rows, Deliveries: sent["store.PortDelivery"].Rows,
	}, nil
}

// rowsOf gives the rows of a store and counts them.
func rowsOf(ctx context.Context, from Port, sent Tallies) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		stopped := errors.New("stopped")
		err := from.Export(ctx, func(r Row) error {
			if err := sent.Add(r); err != nil {
				return err
			}
			if !yield(r, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, stopped) {
			yield(nil, fmt.Errorf("read the source: %w", err))
		}
	}
}

// NilIfEmpty makes both ways to say that there is nothing one.
func NilIfEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// PortStates are the states of deliveries in the order of the numbers by which both stores know them.
func PortStates() []string {
	return []string{StatePending, StateDelivered, StateParked, StateDropped, StateMerged}
}

// StateNumber gives the number of a state, -1 for an unknown one.
func StateNumber(name string) int { return slices.Index(PortStates(), name) }
