package emitter

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/trust"
)

// Options make a Dispatcher. Outbox, Webhooks and Secrets are required.
type Options struct {
	Outbox   Outbox
	Webhooks []Webhook // validated
	Secrets  *setting.Secrets
	Version  string // of the user agent
	// Transport gives the connections of a webhook; nil: NewTransport.
	Transport func(w *Webhook) http.RoundTripper
	// Dial opens the connections of NewTransport, without its egress policy; nil: the network.
	Dial     outbound.Dial
	Observer Observer
	Window   Window // zero: DefaultWindow
	// Pool is what is known of other members who deliver to the same webhooks; nil: there are none. Refresh is to be called then.
	Pool *budget.Pool
	// Sampled says whether a trace is one that is recorded; nil: each is.
	Sampled func(TraceID) bool
	// Trust says until when attempts may begin; nil: for ever.
	Trust *trust.Window
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
	// Paused: a 410 or a person stopped the webhook, or it has failed for pause_after. Said once; the latter ends by
	// Recovered or Resumed, the others by Resumed.
	Paused func(webhook string, state GateState)
	// Resumed: a person let it go on.
	Resumed func(webhook string)
	// Parked: a delivery has left the queue for a person to decide; d has no Body.
	Parked func(d Delivery, reason string, o Outcome)
	// Clock: the receiver's clock, by its answers, is more than a minute from ours (off), or no longer. Each is said once.
	Clock func(webhook string, skew time.Duration, off bool)
	// StoreFailed: the outbox refused; it is asked again until it takes it. op is "seal", "ack", "retry", "park", "gate", "limits", "lanes" or "pending".
	StoreFailed func(op string, err error)
}

// Stats is what one webhook does at this moment.
type Stats struct {
	Webhook   string
	Gate      GateState
	Ramping   bool // the gate has opened a while ago, but does not let everything through yet
	Queued    int  // deliveries in memory that are not settled, those in flight included
	Spilled   bool // there are more in the store
	InFlight  int
	Oldest    time.Time     // detection time of the oldest event in memory; zero: none
	Delivered int64         // since the start
	Failed    int64         // attempts, since the start
	Parked    int64         // since the start
	Merged    int64         // events that another one of their record carries, or that cancelled each other, since the start
	LastError string        // of the last failed attempt
	LastAt    time.Time     // when that was
	Skew      time.Duration // receiver's clock minus ours, as of the last answer that told
	ClockOff  bool          // they differ so much that it was said, see Observer.Clock
}

// Dispatcher sees committed deliveries through to their receivers.
//
// Events of one record go to one webhook one after the other: the next is sent when the one before it got a 2xx or is
// durably parked. A 2xx is acknowledged in batches, some milliseconds later; a crash in between repeats those deliveries,
// in order and under the same ids.
type Dispatcher struct {
	opts    Options
	queues  atomic.Pointer[map[string]*queue] // replaced as a whole, see Apply
	record  *recorder
	loaders sync.WaitGroup
	endings sync.WaitGroup // of webhooks that were replaced or removed

	lives   lives
	started bool

	mu      sync.Mutex // guards what follows, and who replaces queues
	taken   map[int]struct{}
	leaving map[string]*queue // the last one of each name that was replaced or removed, until it has ended
	stopped bool
}

// New makes a dispatcher. It fails when a webhook cannot be sent to.
func New(o Options) (*Dispatcher, error) {
	if o.Window == (Window{}) {
		o.Window = DefaultWindow()
	}
	d := &Dispatcher{opts: o, lives: newLives(), taken: map[int]struct{}{}, leaving: map[string]*queue{}}
	d.record = newRecorder(o.Outbox, &d.opts.Observer)
	p, err := d.Prepare(o.Webhooks...)
	if err != nil {
		return nil, err
	}
	for _, q := range p.queues {
		q.lives = d.lives.within()
	}
	d.queues.Store(&p.queues)
	return d, nil
}

// all gives the webhooks by name; the map is never changed.
func (d *Dispatcher) all() map[string]*queue { return *d.queues.Load() }

// lives are the lifetimes of what a dispatcher has under way; Stop ends them one by one.
type lives struct {
	send, read, write             context.Context //nolint:containedctx // see the type
	stopSend, stopRead, stopWrite context.CancelFunc

	last    chan struct{} // closed: the recorder shall end
	written chan struct{} // closed: it has
}

func newLives() lives {
	l := lives{last: make(chan struct{}), written: make(chan struct{})}
	l.send, l.stopSend = context.WithCancel(context.Background())
	l.read, l.stopRead = context.WithCancel(context.Background())
	l.write, l.stopWrite = context.WithCancel(context.Background())
	return l
}

func (d *Dispatcher) sender(w Webhook) (*Sender, error) {
	if d.opts.Transport != nil {
		return d.senderOver(w, d.opts.Transport(&w))
	}
	transport, err := NewTransport(&w, d.opts.Secrets)
	if err != nil {
		return nil, err
	}
	if d.opts.Dial != nil {
		transport.DialContext = d.opts.Dial
	}
	return d.senderOver(w, transport)
}

func (d *Dispatcher) senderOver(w Webhook, transport http.RoundTripper) (*Sender, error) {
	return NewSender(SenderOptions{Webhook: w, Secrets: d.opts.Secrets, Transport: transport, Version: d.opts.Version, Sampled: d.opts.Sampled})
}

// Start reads the durable gates and begins to deliver; shards can be taken from then on. Only the reading is bound by ctx.
func (d *Dispatcher) Start(ctx context.Context) error {
	gates, err := d.opts.Outbox.Gates(ctx)
	if err != nil {
		return fmt.Errorf("read the gates of the webhooks: %w", err)
	}
	d.started = true
	go func() {
		defer close(d.lives.written)
		d.record.run(d.lives.write, d.lives.last)
	}()
	for name, q := range d.all() {
		q.start(gates[name])
	}
	return nil
}

// flushTime is what Stop allows for writing when its own time is over.
const flushTime = 5 * time.Second

// Stop takes no new attempt, waits for those in flight until ctx is done, cancels what then is left, and writes down what
// is known. The error tells what could not be written: those deliveries will be repeated. A dispatcher that was stopped
// cannot be started again.
func (d *Dispatcher) Stop(ctx context.Context) error {
	queues := d.halt()
	for _, q := range queues {
		q.stop()
	}
	d.lives.stopRead()
	d.loaders.Wait()
	d.drain(ctx, queues)
	if !d.started {
		return nil
	}
	defer d.endings.Wait()
	if ctx.Err() != nil {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
		defer cancel()
		ctx = late
	}
	close(d.lives.last)
	select {
	case <-d.lives.written:
	case <-ctx.Done():
		d.lives.stopWrite()
		<-d.lives.written
	}
	if err := d.record.finish(ctx); err != nil {
		return fmt.Errorf("stop delivering: %w", err)
	}
	return nil
}

// drain waits for the attempts in flight until ctx is done, then cancels them.
func (d *Dispatcher) drain(ctx context.Context, queues []*queue) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, q := range queues {
			q.workers.Wait()
		}
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	d.lives.stopSend()
	<-ended
}

// Dispatch takes over deliveries of one shard that were just committed; complete is false when there are more of them in
// the store than are given here: all are read from there then. It does not wait for anything, and ignores shards that were not
// taken: whoever owns them reads them from the store.
func (d *Dispatcher) Dispatch(shard int, deliveries []Delivery, complete bool) {
	if !complete {
		for _, q := range d.all() {
			q.requeue(shard)
		}
		return
	}
	now, queues, touched := time.Now(), d.all(), map[*queue]struct{}{}
	for i := range deliveries {
		if q := queues[deliveries[i].Webhook]; q != nil {
			q.add(deliveries[i], now)
			touched[q] = struct{}{}
		}
	}
	for q := range touched {
		q.kick()
	}
}

// Merged hears that the store has settled n deliveries of a webhook by merging them with others.
func (d *Dispatcher) Merged(webhook string, n int) {
	if q := d.all()[webhook]; q != nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.tally.Merged += int64(n)
	}
}

// Pause stops a webhook until Resume, durably; deliveries wait, and what is in flight ends. It says whether there is such a
// webhook.
func (d *Dispatcher) Pause(webhook, reason string) bool {
	q, ok := d.all()[webhook]
	if ok {
		q.pause(reason)
	}
	return ok
}

// Resume lets a paused webhook go on, and a failing one try at once. It says whether there is such a webhook.
func (d *Dispatcher) Resume(webhook string) bool {
	q, ok := d.all()[webhook]
	if ok {
		q.resume()
	}
	return ok
}

// Stats tells what each webhook does, by name.
func (d *Dispatcher) Stats() []Stats {
	queues := d.all()
	all := make([]Stats, 0, len(queues))
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		all = append(all, queues[name].stats())
	}
	return all
}
