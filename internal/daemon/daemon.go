// Package daemon is the running deltahook as a value: it wires store, poller, emitter and admin API together, starts and
// stops them, and knows nothing of the process it runs in.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/cluster"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/metrics"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/trust"
	"github.com/deltahook/deltahook/poller"
)

// Options are what a daemon is made of. All are required but the observers and the network.
type Options struct {
	Config  *config.Config // validated
	Secrets *setting.Secrets
	Store   store.Store // stays open after Stop: who opened it closes it
	Log     *slog.Logger
	Version string
	// Name is what other replicas call this one, the name of its machine; empty: deltahook.
	Name string
	// Token is needed for actions over the admin API, and for everything off loopback, while admin.token is not set. NewToken
	// makes one when a reload takes admin.token away and Token is empty; nil: nobody may act then.
	Token    string
	NewToken func() (string, error)

	// Paths are the files and folders that a reload reads; none: it cannot reload. Watch is how often they are looked at, and
	// reloaded when they have changed; 0: not at all. Reloaded is told of each configuration that came into force so.
	Paths    []string
	Watch    time.Duration
	Reloaded func(*config.Config)

	// Polled is told of every poll, Delivered of every attempt to deliver; nil: nobody. They must not block.
	Polled    func(poller.Result)
	Delivered func(emitter.Delivery, emitter.Outcome)
	// Sampled says whether the trace of an event is recorded, for receivers that trace its deliveries further; nil: each is.
	Sampled func(emitter.TraceID) bool
	// Metrics count what happens; nil: new ones.
	Metrics *metrics.Metrics

	// Dial opens the connections to APIs and receivers, Listen that of the admin API; nil: the network.
	Dial   outbound.Dial
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
}

// Daemon is a deltahook. It is started once and stopped once.
type Daemon struct {
	opts       Options
	member     store.Member
	keeper     *cluster.Keeper // of the membership
	trust      *trust.Window
	shards     *shards
	errands    *errands
	pool       *budget.Pool // nil: nobody else can be at work
	peers      *peers
	told       atomic.Pointer[running] // whose sources the store knows
	dispatcher *emitter.Dispatcher
	scheduler  *poller.Scheduler
	outlet     *outlet
	queues     *queues
	journal    *admin.Journal
	pulse      pulse
	probe      probe
	door       *admin.Door
	backfills  *backfills
	entrance   *entrance // of the admin API
	running    atomic.Pointer[running]
	reload     reload
	alerts     *alerts
	beat       lastBeat
	started    time.Time
	ready      chan struct{} // closed once it works
	background sync.WaitGroup
	beside     sync.WaitGroup // polling
	cleanups   []cleanup
	used       atomic.Int64 // bytes of the store
}

// cleanup undoes one step of New or Start; they run in reverse order.
type cleanup struct {
	name string
	do   func(ctx context.Context) error
}

// New builds everything and binds the admin address, but polls and sends nothing yet.
func New(ctx context.Context, o Options) (d *Daemon, err error) {
	d = &Daemon{opts: o, journal: &admin.Journal{}, probe: probe{write: o.Store.Probe}, ready: make(chan struct{}), started: time.Now()}
	if d.opts.Metrics == nil {
		d.opts.Metrics = metrics.New()
	}
	d.reload.checked = d.started
	begun := d // a return without a daemon leaves none in d
	defer func() {
		if err != nil {
			err = errors.Join(err, begun.unwind(context.WithoutCancel(ctx)))
		}
	}()
	first, err := d.facts(o.Config, o.Secrets)
	if err != nil {
		return nil, err
	}
	d.running.Store(first)
	d.alerts = newAlerts(o.Log, func() *config.Config { return d.current().config })
	d.door = admin.NewDoor(func() string { return d.current().token })
	if err := d.join(ctx); err != nil {
		return nil, err
	}
	if err := d.settle(ctx, d.opts.Config); err != nil {
		return nil, err
	}
	if err := d.build(ctx); err != nil {
		return nil, err
	}
	return d, d.open(ctx)
}

// current is the configuration in force.
func (d *Daemon) current() *running { return d.running.Load() }

// settle tells the store which sources there are, where nobody else can be of another opinion; else that is settled when all agree.
func (d *Daemon) settle(ctx context.Context, c *config.Config) error {
	if d.opts.Store.Shared() {
		return nil
	}
	return d.setSources(ctx, c)
}

func (d *Daemon) setSources(ctx context.Context, c *config.Config) error {
	names := make([]string, len(c.Sources), len(c.Sources)+1)
	for i, s := range c.Sources {
		names[i] = s.Name
	}
	names = append(names, emitter.Own)
	if err := d.member.SetSources(ctx, names, time.Now()); err != nil {
		return fmt.Errorf("tell the store which sources there are: %w", err)
	}
	return nil
}

func (d *Daemon) build(ctx context.Context) error {
	webhooks := webhooksOf(d.opts.Config)
	if d.opts.Store.Shared() {
		d.pool = budget.NewPool(budget.PoolOptions{Bank: d.member, Members: d.replicas, Trust: d.trust})
	}
	var err error
	d.dispatcher, err = emitter.New(emitter.Options{
		Outbox: d.member, Webhooks: webhooks, Secrets: d.opts.Secrets, Version: d.opts.Version,
		Observer: receiverWatcher{log: d.opts.Log, journal: d.journal, attempted: d.opts.Delivered, metrics: d.opts.Metrics, alerts: d.alerts}.observer(), Dial: d.opts.Dial, Sampled: d.opts.Sampled,
		Trust: d.trust, Pool: d.pool,
	})
	if err != nil {
		return fmt.Errorf("prepare delivery: %w", err)
	}
	d.queues = newQueues(d.opts.Store, webhooks, d.opts.Log, &d.pulse)
	d.alerts.ledger = &ledger{Member: d.member, dispatcher: d.dispatcher, journal: d.journal, metrics: d.opts.Metrics, fenced: d.keeper.Look}
	d.alerts.archive, d.alerts.seed, d.alerts.hooks = d.opts.Store, d.opts.Store.Seed(), d.dispatcher.Stats
	d.outlet = newOutlet(webhooks, d.opts.Store.Seed(), d.queues.full)
	d.scheduler = poller.NewScheduler(poller.Options{
		Ledger:    d.alerts.ledger,
		Outlet:    d.outlet,
		Secrets:   d.opts.Secrets,
		Hosts:     d.opts.Config.Hosts,
		Pool:      d.pool,
		Vault:     d.member,
		Seed:      d.opts.Store.Seed(),
		Observer:  watcher{log: d.opts.Log, journal: d.journal, polled: d.opts.Polled, metrics: d.opts.Metrics, alerts: d.alerts},
		UserAgent: "deltahook/" + d.opts.Version,
		Dial:      d.opts.Dial,
		Trust:     d.trust,
	})
	d.errands = newErrands(d)
	return d.shards.prepare(ctx)
}

// Start begins to deliver, to poll and to serve. The context bounds the start only.
func (d *Daemon) Start(ctx context.Context) error {
	if err := d.dispatcher.Start(ctx); err != nil {
		return fmt.Errorf("start delivery: %w", err)
	}
	d.onStop("delivery", d.dispatcher.Stop)
	if err := d.shards.start(ctx); err != nil {
		return err
	}
	d.alerts.keep(d.current().config)
	d.alerts.gates(d.dispatcher.Stats())
	d.alerts.first(ctx)
	d.onStop("alerts", d.lastAlerts)
	// Polls, and what they need, go on while shards are handed over: each is polled until its turn comes.
	polling := d.loops("work beside polling", &d.beside)
	d.beside.Go(func() { d.queues.watch(polling) })
	d.beside.Go(func() { d.share(polling) })
	d.scheduler.Start(polling)
	d.onStop("polling", d.scheduler.Stop)
	d.onStop("hand-over", d.handOver)

	running := d.loops("background work", &d.background)
	d.background.Go(func() { d.housekeep(running) })
	d.background.Go(func() { d.recall(running) })
	d.background.Go(func() { d.alerts.run(running) })
	d.background.Go(func() { d.heartbeat(running) })
	d.background.Go(func() { d.replicate(running) })
	d.backfills = &backfills{d: d, ctx: running, notes: map[string]string{}}
	d.shards.resumeFirst()
	d.entrance.serve()
	d.onStop("admin API", d.entrance.shut)
	d.onStop("streams", func(context.Context) error {
		d.journal.Close() // who reads one would keep the server open
		return nil
	})
	if d.opts.Watch > 0 && len(d.opts.Paths) > 0 {
		d.background.Go(func() { d.watch(running) })
	}
	d.background.Go(func() { d.keeper.Run(running) })
	d.background.Go(func() { d.errands.run(running) })
	d.onStop("reloads", func(context.Context) error { d.reload.end(); return nil })
	close(d.ready)
	return nil
}

// loops begins a group of loops, which end with their turn of the cleanups.
func (d *Daemon) loops(name string, group *sync.WaitGroup) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	d.onStop(name, func(context.Context) error {
		cancel()
		group.Wait()
		return nil
	})
	return ctx
}

// handOver gives the shards to others, where there can be any, with nothing left to be told.
func (d *Daemon) handOver(ctx context.Context) error {
	if !d.opts.Store.Shared() {
		return nil
	}
	return errors.Join(d.lastAlerts(ctx), d.keeper.HandOver(ctx))
}

// lastAlerts tells what would have waited.
func (d *Daemon) lastAlerts(ctx context.Context) error {
	d.alerts.hurry()
	_, err := d.alerts.tell(ctx, time.Now())
	return err
}

func (d *Daemon) onStop(name string, do func(ctx context.Context) error) {
	d.cleanups = append(d.cleanups, cleanup{name: name, do: do})
}

// Stop hands over what others can take, stops polling, lets what is in flight end until ctx is done, writes down what is known, and
// gives the membership back.
func (d *Daemon) Stop(ctx context.Context) error { return d.unwind(ctx) }

func (d *Daemon) unwind(ctx context.Context) error {
	var err error
	for _, c := range slices.Backward(d.cleanups) {
		if e := d.clean(ctx, c); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", c.name, e))
		}
	}
	d.cleanups = nil
	return err
}

// clean runs one step. A receiver that hangs may use up the time of all: what follows still gets a little, because it does
// not wait for anybody outside.
func (d *Daemon) clean(ctx context.Context, c cleanup) error {
	const little = 5 * time.Second
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), little)
		defer cancel()
	}
	return c.do(ctx)
}

// Ready says why the daemon does not work; nil: it does. It depends on the daemon alone: neither polled APIs nor receivers may make it unready.
func (d *Daemon) Ready(ctx context.Context) error {
	select {
	case <-d.ready:
	default:
		return errors.New("starting")
	}
	if _, err := d.opts.Store.GateStates(ctx); err != nil {
		return fmt.Errorf("the store does not answer: %w", err)
	}
	return nil
}
