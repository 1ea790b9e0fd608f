// Package store is the contract between the daemon and storage: who owns what, and what can be read.
//
// Sources hash to Shards shards. A member owns a shard by a lease whose epoch is the fencing token; whoever owns it polls
// its sources, commits and delivers their events. The embedded store has one member that owns every shard for ever.
package store

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/poller"
)

// Shards is fixed when a store is created.
const Shards = 256

// AllShards lists every shard: what a member that is alone acquires.
func AllShards() []int {
	shards := make([]int, Shards)
	for i := range shards {
		shards[i] = i
	}
	return shards
}

// ShardOf gives the shard of a source: FNV-1a of its name.
func ShardOf(source string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(source))
	return int(h.Sum32() % Shards)
}

// Errors of a store. Ledger errors (ErrFenced, ErrConflict) are poller's.
var (
	// ErrMemberLost says that a membership expired; it never revives, the process must join again.
	ErrMemberLost = errors.New("the membership has expired")
	// ErrNotFound says that there is no such event, delivery or record.
	ErrNotFound = errors.New("not found")
	// ErrReadOnly says that the store was opened for looking only.
	ErrReadOnly = errors.New("the store is open for reading only")
)

// Store is an opened, migrated store.
type Store interface {
	Reader
	// Seed keys all hashes of this store.
	Seed() differ.Seed
	// Look gives the memory of all sources for reading, without a lease. Its Commit fails.
	Look() poller.Ledger
	// Join starts a new incarnation of a member. Leases of its older incarnations are void at once. Time is judged by the
	// store's clock alone.
	Join(ctx context.Context, name string, ttl time.Duration) (Member, error)
	// Shared says whether other processes may use the store at the same time. Then a membership needs a name of its own and
	// heartbeats; else it lives as long as its process.
	Shared() bool
	// Housekeep deletes what need not be kept. An event of which a delivery is pending or parked stays, whatever its age and
	// whatever the size. A source whose state was deleted starts anew when it comes back, except that Version and Sequence
	// go on: a receiver must never see a sequence twice. One call does a bounded amount of work.
	Housekeep(ctx context.Context, r Retention) (Swept, error)
	// Probe makes a small durable write, to find out whether the store takes one.
	Probe(ctx context.Context) error
	Close() error
}

// Retention is what need not be kept. The zero value of a field keeps all.
type Retention struct {
	EventsBefore   time.Time // events detected before, with all that was recorded of their deliveries
	AttemptsBefore time.Time // attempts of deliveries that were settled before
	RemovedBefore  time.Time // the state of sources that left the configuration before
	MaxSize        int64     // bytes in use: above it the oldest events go, however young they are
}

// Swept is what one call of Housekeep came to.
type Swept struct {
	More  bool  // it should be called again soon
	Used  int64 // bytes in use before
	Stuck bool  // more than MaxSize is in use, and there is no event that may go
}

// Lease is the right to write one shard. Epoch grows at every change of owner.
type Lease struct {
	Shard int
	Epoch int64
	// Since is until when at least somebody looked after the shard, by the clock of this machine; zero: nobody ever has, or the
	// store is not shared.
	Since time.Time
}

// Freed is a shard that is given back.
type Freed struct {
	Shard int
	Since time.Time // since when nobody looks after it, by the clock of this machine; zero: nobody ever has
}

// Member is one process's membership. It keeps its leases itself: Ledger and Outbox methods work under them.
type Member interface {
	poller.Ledger
	poller.Vault
	emitter.Outbox
	budget.Bank
	Actions

	// ID is name and incarnation.
	ID() string
	// Heartbeat extends the membership; ErrMemberLost once it had expired.
	Heartbeat(ctx context.Context) error
	// Rejoin starts a new incarnation in the place of one that has expired. It holds nothing: what is wanted has to be
	// acquired again.
	Rejoin(ctx context.Context) error
	// Tell lets the others know something of this member, from now on and for its later incarnations.
	Tell(ctx context.Context, i Info) error
	// Sources lists the sources of some shards that are held and were ever committed.
	Sources(ctx context.Context, shards []int) ([]SourceRow, error)
	// Acquire takes the wanted shards that are free, its own or a dead member's. When it returns, every commit that the
	// former owner was told about is visible, and no later one of it can succeed. A shard that is already held gets a
	// new epoch. A member that has expired gets ErrMemberLost.
	Acquire(ctx context.Context, shards []int) ([]Lease, error)
	// Release gives shards back, all at once; poller.ErrFenced when one is not held any more, and the others are free nevertheless.
	Release(ctx context.Context, shards ...Freed) error
	// Leave releases everything and ends the membership.
	Leave(ctx context.Context) error
}

// Actions change what is queued, on request of a person. Replay and Drop work on what Deliveries would list for the same query: in
// a store that is shared, whoever owns the shards, who hears of it by Sight.Stirred; in another one, in the held shards. They fail
// with poller.ErrFenced when a shard is lost, or the membership. A large set is changed in steps: after an error the number says
// how many were.
type Actions interface {
	// Replay queues settled deliveries again (delivered, parked, dropped), under their old id, sequence and bytes and at
	// their old place in the lane, and says how many. The number of attempts starts again from 0, so that the schedule
	// does too; the attempts that were made stay listed. A pending delivery is queued already and is left alone.
	//
	// Every above zero spreads them: the oldest may be sent at once, each later one so much after the one before.
	//
	// The order per record (P4) holds against what is still pending: a replayed event goes before the later ones of its
	// record. It cannot hold against what a receiver has already got: that one sees an old event again, with the old id
	// and sequence to know it by.
	Replay(ctx context.Context, q DeliveryQuery, every time.Duration) (int, error)
	// Drop settles parked deliveries as dropped, or pending ones when the query says so, and says how many; the others that
	// match are left alone. Why, which says who did it, becomes the begin of their Reason. A pending one may be in flight: its
	// receipt still counts, its failure does not any more. One that is dropped is neither loose nor part of a batch.
	Drop(ctx context.Context, q DeliveryQuery, why string) (int, error)
	// SetSources tells the store which sources are configured, so that the state of others can be removed in time.
	SetSources(ctx context.Context, names []string, at time.Time) error
}

// Reader is what people look at. Nothing of it needs a lease; lists are newest first and page by the Before field.
type Reader interface {
	// Sight gives who is alive and who owns what.
	Sight(ctx context.Context) (Sight, error)
	// Sources lists the sources that were committed and whose state was not deleted since, by name.
	Sources(ctx context.Context) ([]SourceRow, error)
	// Polls gives the last polls that were committed with a history entry, at most some hundred.
	Polls(ctx context.Context, source string, limit int) ([]poller.Poll, error)
	Events(ctx context.Context, q EventQuery) ([]EventRow, error)
	// Event gives an event with its Body, or ErrNotFound.
	Event(ctx context.Context, id string) (EventRow, error)
	// Deliveries never ends a page between two deliveries of one event: it can be longer than Limit by a few rows.
	Deliveries(ctx context.Context, q DeliveryQuery) ([]DeliveryRow, error)
	// Survey sums up, by webhook, type and state, what an action on the same query would look at: what Deliveries would list, all of it
	// without a Limit.
	Survey(ctx context.Context, q DeliveryQuery) ([]Sum, error)
	// Attempts gives the attempts of a delivery in the order in which they were recorded, the last hundred if there were
	// more, or ErrNotFound. What was sent and what was answered is kept of failures only.
	Attempts(ctx context.Context, eventID, webhook string) ([]emitter.Attempt, error)
	// Queues gives the length of every queue that is not empty, by webhook name. It is cheap enough for every poll.
	Queues(ctx context.Context) ([]Queue, error)
	// Records lists the known records of a source by key, in the order of its bytes, without their bodies.
	Records(ctx context.Context, q RecordQuery) ([]RecordRow, error)
	// Record gives a known record with its last body, or ErrNotFound.
	Record(ctx context.Context, source, key string) (RecordRow, error)
	// GateStates gives the durable gates by webhook name.
	GateStates(ctx context.Context) (map[string]emitter.GateState, error)
}

// SourceRow is the durable state of one source.
type SourceRow struct {
	Name      string
	Shard     int
	State     poller.State
	Committed time.Time // of the last commit
	Removed   time.Time // when it left the configuration; zero while it is there
}

// EventQuery selects events. Zero fields do not restrict.
type EventQuery struct {
	Source, Type, Key string
	Since, Until      time.Time
	Before            int64 // Seq, exclusive
	Limit             int   // 0: 100
}

// EventRow is one stored event.
type EventRow struct {
	Seq      int64
	ID       string
	Source   string
	Sequence int64
	Type     string
	Key      string
	At       time.Time
	Body     []byte // nil in lists
}

// RecordQuery selects known records of one source.
type RecordQuery struct {
	Source string
	Prefix string // of the key
	After  string // key, exclusive
	Limit  int    // 0: 100
}

// RecordRow is one known record of a source.
type RecordRow struct {
	Key     string
	Print   differ.Print
	Missing int    // complete scans in a row that lacked it
	Body    []byte // nil in lists
}

// Delivery states.
const (
	StatePending   = "pending"
	StateDelivered = "delivered"
	StateParked    = "parked"
	StateDropped   = "dropped"
	StateMerged    = "merged" // settled: another event of the record carries its change, or nothing was left of it
)

// DeliveryQuery selects deliveries. Zero fields do not restrict.
type DeliveryQuery struct {
	Webhook, Source, Type, Key, EventID string
	State                               string
	Reason                              string    // a part of the row's Reason; case does not matter
	Since, Until                        time.Time // of the event
	SettledAfter                        time.Time // exclusive
	Before                              int64     // Seq, exclusive
	Limit                               int       // 0: 100 in lists, all in actions
}

// DeliveryRow is one event on its way to, or settled by, one webhook.
type DeliveryRow struct {
	emitter.Ref
	EventID  string
	Source   string
	Key      string
	Type     string
	State    string
	Attempts int
	NextAt   time.Time
	Settled  time.Time
	Status   int           // of the last attempt
	Took     time.Duration // of the last attempt
	Reason   string        // why it is parked, dropped or merged, or the last failure

	Batch      string // the batch that it was last sealed in, if any
	MergedInto string // of a merged one: the event that it went into; of two that cancelled each other, the other one
}

// Sum is how many deliveries there are of a kind.
type Sum struct {
	Webhook, Type, State string
	Deliveries           int64
	Bytes                int64     // of their bodies; of very many an estimate
	First, Last          time.Time // detection of the oldest and of the newest event
}

// Queue is the length of a webhook's queue.
type Queue struct {
	Webhook string
	Pending int64
	Parked  int64
	Oldest  time.Time // detection time of the oldest pending event
}
