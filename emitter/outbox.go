package emitter

import (
	"context"
	"time"
)

// Lane is where deliveries queue in the store: all of one webhook in one shard.
type Lane struct {
	Shard   int
	Webhook string
}

// Ref names one delivery: an event on its way to a webhook.
type Ref struct {
	Lane
	Seq int64 // position of the event in the store
}

// Delivery is an event that a webhook has not settled yet.
type Delivery struct {
	Ref
	ID       string // webhook-id: the event's id
	Source   string
	Key      string
	Type     string
	Sequence int64
	At       time.Time // when the change was detected
	Body     []byte    // exact bytes; never re-encoded
	Attempts int       // made so far, since the replay if there was one
	Since    time.Time // of the first attempt, or of the replay: from when give_up_after counts; zero: no attempt yet
	TriedAt  time.Time // of the last attempt; zero: none yet
	Status   int       // of the last attempt that failed, as in Attempt
	Reason   string    // of that one
	NextAt   time.Time // not before; zero: at once
	Replay   bool      // sent again on request
	Events   int       // of a delivery that stands for a batch: how many it has; 0: it is a single event
	Batch    string    // the batch that it was sealed in; empty: none
	Loose    bool      // not fixed yet: Body may be another one when it is sealed, or there may be nothing to send any more
}

// Parcel is what one request is to carry: deliveries of one lane.
type Parcel struct {
	Lane
	Seqs     []int64 // in order
	Batch    bool    // they are sealed together, under a common id
	MaxBytes int     // of the body of a batch, which has at least one delivery however large that is
}

// Next is what follows a failed attempt at a batch.
type Next struct {
	At    time.Time // the next attempt; unless
	Split bool      // its deliveries may be sealed anew, in other batches; or
	Park  string    // they are parked, for this reason
}

// Attempt is one POST and what came of it.
type Attempt struct {
	Number  int // from 1
	At      time.Time
	Took    time.Duration
	Status  int    // 0 when no status line came
	Reason  string // bounded: "", dns, connect, tls, timeout, status_4xx, …
	Error   string // for people, redacted
	Excerpt string // of the answer, at most 4 KiB
	Trigger string // initial, retry, probe, replay
	Request string // header lines that were sent, secrets redacted, at most 2 KiB; of failures only
}

// Receipt is an attempt that settled its delivery: a 2xx.
type Receipt struct {
	Ref
	Attempt Attempt
}

// GateState is the durable state of a webhook's gate.
type GateState struct {
	State    string    `json:"state"`          // "open" (deliveries flow), "shut" (one probe at a time), "paused" (see GatePaused)
	Failures int       `json:"failures"`       // in a row
	Since    time.Time `json:"since,omitzero"` // of the first failure in a row, or of the pause by a person or a 410
	Until    time.Time `json:"until,omitzero"` // no attempt before; zero when paused: none at all
	Reason   string    `json:"reason,omitempty"`
	Slow     bool      `json:"slow,omitempty"`   // open again after an outage, and the rate still grows
	At       time.Time `json:"at,omitzero"`      // when this was so: tells after a restart whether the clock was set back
	Asked    bool      `json:"asked,omitempty"`  // the receiver itself asked to be left alone until then
	Doubt    bool      `json:"doubt,omitempty"`  // shut by one event, which may be the cause itself
	Unsent   bool      `json:"unsent,omitempty"` // the last failure was that nothing could be sent
	Gen      int64     `json:"-"`                // how often the gate was stored
}

// Outbox is the durable queue, as the emitter needs it. A store implements it.
type Outbox interface {
	// Lanes lists the lanes of the held shards that have unsettled deliveries (parked ones do not count).
	Lanes(ctx context.Context) ([]Lane, error)
	// Pending pages one lane in order of Seq.
	Pending(ctx context.Context, lane Lane, afterSeq int64, limit int) ([]Delivery, error)
	// Seal fixes deliveries before their first attempt: bytes do not change any more, and later events go their own way. For each
	// parcel it gives its deliveries as they are now, in the given order. Those that are settled, or whose shard is lost, are left
	// out, as are the last ones of a batch that would be too large. The deliveries of a batch belong together from then on, under
	// the BatchID of their ids, until they are settled, split or sealed anew; attempts count from 0 under a new id. All parcels are
	// one transaction.
	Seal(ctx context.Context, parcels []Parcel) ([][]Delivery, error)
	// Batches lists the batches of a lane that have unsettled deliveries.
	Batches(ctx context.Context, lane Lane) ([]string, error)
	// Batch gives the unsettled deliveries of a batch in order of Seq.
	Batch(ctx context.Context, lane Lane, id string) ([]Delivery, error)
	// FailBatch records a failed attempt at the deliveries of a batch, and what follows, in one transaction. The answer is kept with the
	// first of them. Those that are settled stay as they are. An attempt without a Number is none: they are only parked.
	FailBatch(ctx context.Context, lane Lane, seqs []int64, attempt Attempt, next Next) error
	// Ack settles deliveries. It is idempotent and not fenced: a 2xx is a fact whoever got it. The receipts are the caller's again
	// when it returns.
	Ack(ctx context.Context, receipts []Receipt) error
	// Retry records a failed attempt and when the next may follow.
	Retry(ctx context.Context, ref Ref, attempt Attempt, next time.Time) error
	// Park takes a delivery out of the queue for a person to decide; attempt may be nil.
	Park(ctx context.Context, ref Ref, reason string, attempt *Attempt) error
	// Gates gives the durable gates by webhook name.
	Gates(ctx context.Context) (map[string]GateState, error)
	// NewGates gives those that were stored since the last call, and perhaps some more: all of them the first time.
	NewGates(ctx context.Context) (map[string]GateState, error)
	// SaveGate stores a gate in the place of the generation that it was made from, and gives what is stored now: the same under the
	// next generation, or, when somebody else was faster, what that one has stored (saved is false).
	SaveGate(ctx context.Context, webhook string, state GateState) (now GateState, saved bool, err error)
}
