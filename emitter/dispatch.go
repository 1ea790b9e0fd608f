package emitter

import (
	"context"
	"net/http"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// Options make a Dispatcher. Outbox, Webhooks and Secrets are required.
type Options struct {
	Outbox   Outbox
	Webhooks []Webhook // validated
	Secrets  *setting.Secrets
	Version  string // of the user agent
	// Client gives the client of a webhook; nil: outbound.NewPoster with the webhook's max_in_flight and no proxy.
	Client   func(w *Webhook) *http.Client
	Observer Observer
	Window   Window // zero: DefaultWindow
}

// Observer hears what happens. Each function may be nil, must not block, and must not call the Dispatcher. All but
// Attempted are called by one goroutine, in the order in which things happened.
type Observer struct {
	// Attempted: one POST ended, whatever came of it. Called by many goroutines at once.
	Attempted func(d Delivery, o Outcome)
	// Failing: the gate has shut. Said once, until Recovered.
	Failing func(webhook string, state GateState, o Outcome)
	// Recovered: the gate has opened again; was is its state before.
	Recovered func(webhook string, was GateState)
	// Paused: a 410 or a person stopped the webhook.
	Paused func(webhook string, state GateState)
	// Resumed: a person let it go on.
	Resumed func(webhook string)
	// Parked: a delivery has left the queue for a person to decide; d has no Body.
	Parked func(d Delivery, reason string, o Outcome)
	// StoreFailed: the outbox refused; it is asked again until it takes it. op is "ack", "retry", "park", "gate", "lanes" or "pending".
	StoreFailed func(op string, err error)
}

// Stats is what one webhook does at this moment.
type Stats struct {
	Webhook   string
	Gate      GateState
	Ramping   bool // the gate has opened but the full concurrency is not yet reached
	Queued    int  // deliveries in memory that are not settled, those in flight included
	Spilled   bool // there are more in the store
	InFlight  int
	Oldest    time.Time     // detection time of the oldest event in memory; zero: none
	Delivered int64         // since the start
	Failed    int64         // attempts, since the start
	Parked    int64         // since the start
	LastError string        // of the last failed attempt
	LastAt    time.Time     // when that was
	Skew      time.Duration // receiver's clock minus ours, as of the last answer
}

// Dispatcher sees committed deliveries through to their receivers.
//
// Events of one record go to one webhook one after the other: the next is sent when the one before it got a 2xx or is
// durably parked. A 2xx is acknowledged in batches, some milliseconds later; a crash in between repeats those deliveries,
// in order and under the same ids.
type Dispatcher struct{}

// New makes a dispatcher. It fails when a webhook cannot be sent to.
func New(o Options) (*Dispatcher, error) { return nil, nil }

// Start reads the durable gates and begins to deliver. ctx bounds the reading only.
func (d *Dispatcher) Start(ctx context.Context) error { return nil }

// Stop takes no new attempt, waits for those in flight until ctx is done, cancels what then is left, and writes down what
// is known. The error tells what could not be written: those deliveries will be repeated.
func (d *Dispatcher) Stop(ctx context.Context) error { return nil }

// Dispatch takes over deliveries of one shard that were just committed. complete is false when there are more of them in
// the store than are given here. It does not wait for anything, and ignores shards that were not taken: whoever owns them reads
// them from the store.
func (d *Dispatcher) Dispatch(shard int, deliveries []Delivery, complete bool) {}

// Take begins to deliver what is queued in the shards, and what will be dispatched for them. It returns at once.
func (d *Dispatcher) Take(shards ...int) {}

// Drop stops delivering for the shards, except for what is in flight. It returns at once.
func (d *Dispatcher) Drop(shards ...int) {}

// Pause stops a webhook until Resume, durably; deliveries wait. It says whether there is such a webhook.
func (d *Dispatcher) Pause(webhook, reason string) bool { return false }

// Resume lets a paused webhook go on, and a failing one try at once. It says whether there is such a webhook.
func (d *Dispatcher) Resume(webhook string) bool { return false }

// Requeue looks into the store again after deliveries were queued there behind the dispatcher's back (a replay). No name means
// all webhooks.
func (d *Dispatcher) Requeue(webhooks ...string) {}

// Stats tells what each webhook does, by name.
func (d *Dispatcher) Stats() []Stats { return nil }

// Window bounds what is kept in memory; the rest is read from the store when there is room.
type Window struct {
	Events, Bytes           int // of one webhook in one shard
	TotalEvents, TotalBytes int // of one webhook
}

// DefaultWindow is 5,000 events or 16 MiB of one webhook in one shard, and four times that of one webhook.
func DefaultWindow() Window {
	return Window{Events: 5000, Bytes: 16 << 20, TotalEvents: 20_000, TotalBytes: 64 << 20}
}
