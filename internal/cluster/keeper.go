package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/trust"
)

// Member is what a keeper needs of a membership; a store.Member is one.
type Member interface {
	ID() string
	Heartbeat(ctx context.Context) error
	Rejoin(ctx context.Context) error
	Tell(ctx context.Context, i store.Info) error
	Acquire(ctx context.Context, shards []int) ([]store.Lease, error)
	Release(ctx context.Context, shards ...store.Freed) error
	Leave(ctx context.Context) error
}

// Work is what a member does with the shards that it owns. The methods are not called at the same time for one shard.
type Work interface {
	// Begin begins to work on shards that were acquired. After an error it has not, and they are given back.
	Begin(ctx context.Context, leases []store.Lease) error
	// Yield begins nothing more on the shards, and returns when nothing is written to them any more but what became of deliveries
	// that were under way, see Settled. It gives since when a poll has been owed, by shard, where one is.
	Yield(ctx context.Context, shards []int) (owed map[int]time.Time)
	// Settled says that nothing of a shard that was yielded is under way any more.
	Settled(shard int) bool
	// End ends the work on shards that are not ours any more, or may be somebody else's.
	End(ctx context.Context, shards []int)
	// Stir hears that others have changed the deliveries of shards.
	Stir(shards []int)
}

// Options make a Keeper. All are required but Trust and Beat.
type Options struct {
	Member Member
	Sight  func(ctx context.Context) (store.Sight, error)
	Shared bool          // others may own shards, too; else this member owns every one for ever
	TTL    time.Duration // of the membership
	Work   Work
	Log    *slog.Logger
	Info   store.Info    // what the others are told at first; Works is added
	Trust  *trust.Window // is kept open as long as nobody else can own what we do
	// Beat hears that a loop goes round, and will again within the period; nil: nobody does.
	Beat func(loop string, period time.Duration)
}

// Keeper keeps a membership alive, and the share of the shards that is its own.
type Keeper struct {
	opts   Options
	beats  context.CancelFunc
	beaten chan struct{} // closed when the heartbeats have ended
	wake   chan struct{}

	life   context.Context //nolint:containedctx // of what is handed over, which outlives the round that found it
	end    context.CancelFunc
	yields sync.WaitGroup

	saying sync.Mutex // only one says what the others are to know
	info   store.Info // what that is
	told   bool       // that this member works

	working []string // who was there when owners was found; only one round at a time uses these
	owners  [store.Shards]string
	moved   time.Time // when shards have changed hands, or who is there, as far as was seen
	lapsed  bool      // the lease has run out, which was said, and we have not joined again

	mu    sync.Mutex
	held  map[int]*hold
	sight *store.Sight // the last one
	shaky bool         // the membership could not be extended in time
}

// hold is a shard that is ours.
type hold struct {
	stirred  int64
	yielding time.Time // since when; zero: it is not
	since    time.Time // since when nobody does, or has done in time, what is to be done with a shard that is yielded
}

// New makes a keeper of a membership that was just begun.
func New(o Options) *Keeper {
	if o.Beat == nil {
		o.Beat = func(string, time.Duration) {}
	}
	if o.Trust == nil {
		o.Trust = &trust.Window{}
	}
	k := &Keeper{opts: o, info: o.Info, held: map[int]*hold{}, sight: &store.Sight{}, wake: make(chan struct{}, 1)}
	k.life, k.end = context.WithCancel(context.Background())
	return k
}

// Of the TTL: how often a heartbeat is sent and how long it may take, and how long before the end of the lease nothing is begun any
// more. How often others are looked at has bounds of its own.
func (k *Keeper) beatPeriod() time.Duration { return k.opts.TTL / 5 }
func (k *Keeper) beatWait() time.Duration   { return k.opts.TTL / 10 }
func (k *Keeper) spare() time.Duration      { return k.opts.TTL / 5 }
func (k *Keeper) lookPeriod() time.Duration {
	return min(max(k.opts.TTL/20, 100*time.Millisecond), 500*time.Millisecond)
}

// Open claims the first shards, and sends heartbeats from then on. The work on them is the caller's to begin. Alone says that nobody
// else works here.
func (k *Keeper) Open(ctx context.Context) (leases []store.Lease, alone bool, err error) {
	if !k.opts.Shared {
		leases, err = k.opts.Member.Acquire(ctx, store.AllShards())
		if err == nil && len(leases) != store.Shards {
			err = fmt.Errorf("%d of %d shards are owned by others", store.Shards-len(leases), store.Shards)
		}
		k.keep(leases, k.last())
		return leases, true, err
	}
	begun := time.Now()
	if err := k.opts.Member.Heartbeat(ctx); err != nil {
		return nil, false, err
	}
	k.opts.Trust.Extend(begun.Add(k.opts.TTL - k.spare()))
	beating, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k.beats, k.beaten = cancel, make(chan struct{})
	go func() {
		defer close(k.beaten)
		every(beating, k.beatPeriod, nil, k.beat)
	}()
	sight, err := k.see(ctx)
	if err != nil {
		return nil, false, err
	}
	if len(sight.Working()) > 0 {
		return nil, false, nil // they hand over to us once we look, and not before
	}
	if err := k.tellFirst(ctx); err != nil {
		return nil, false, err
	}
	if sight, err = k.see(ctx); err != nil {
		return nil, false, err
	}
	_, take := k.share(sight, k.opts.Member.ID())
	leases, err = k.acquire(ctx, take, sight)
	return leases, len(sight.Working()) == 1, err
}

// Run looks after the share until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	if !k.opts.Shared {
		return
	}
	failed := false
	every(ctx, k.pace, k.wake, func(ctx context.Context) {
		k.opts.Beat("shares of the replicas", time.Minute)
		err := k.tellFirst(ctx)
		if err == nil {
			err = k.look(ctx)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil && !failed:
			k.opts.Log.ErrorContext(ctx, "cannot look after the share of this replica; it is tried again", "err", err)
		case err == nil && failed:
			k.opts.Log.InfoContext(ctx, "the share of this replica is looked after again")
		}
		failed = err != nil
	})
}

// pace is how long it takes to the next look: a fifth of the period as long as shards change hands, so that each is free for a moment
// only.
func (k *Keeper) pace() time.Duration {
	if time.Since(k.moved) < stuck {
		return k.lookPeriod() / 5
	}
	return k.lookPeriod()
}

// every calls do now and then, when woken or after a period, until ctx ends.
func every(ctx context.Context, period func() time.Duration, wake <-chan struct{}, do func(ctx context.Context)) {
	timer := time.NewTimer(period())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-timer.C:
		}
		begun := time.Now()
		do(ctx)
		timer.Reset(period() - time.Since(begun))
	}
}

// Look lets Run look at once: something says that a shard may be somebody else's.
func (k *Keeper) Look() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// beat extends the membership.
func (k *Keeper) beat(ctx context.Context) {
	k.opts.Beat("membership", k.beatPeriod())
	begun := time.Now()
	beating, cancel := context.WithTimeout(ctx, k.beatWait())
	defer cancel()
	err := k.opts.Member.Heartbeat(beating)
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, store.ErrMemberLost):
		k.Look() // which joins again
	case err == nil:
		k.extend(ctx, begun)
	case !k.opts.Trust.Open(time.Now()) && k.setShaky(true):
		k.opts.Log.ErrorContext(ctx, "the membership of the store could not be extended in time, another deltahook may take over; nothing is polled or sent until it is back", "err", err)
	}
}

// extend trusts the membership that was extended by a statement which had begun at that time.
func (k *Keeper) extend(ctx context.Context, begun time.Time) {
	k.opts.Trust.Extend(begun.Add(k.opts.TTL - k.spare()))
	if k.setShaky(false) {
		k.opts.Log.InfoContext(ctx, "the store knows this deltahook again; polls and deliveries go on")
	}
}

// setShaky says whether that is a change.
func (k *Keeper) setShaky(shaky bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := k.shaky
	k.shaky = shaky
	return was != shaky
}

// Leave ends the membership. What is still held is given back.
func (k *Keeper) Leave(ctx context.Context) error {
	if k.beats != nil {
		k.beats()
		<-k.beaten
	}
	k.end()
	k.yields.Wait()
	var free []store.Freed
	for shard, h := range k.all() {
		if !h.yielding.IsZero() {
			free = append(free, store.Freed{Shard: shard, Since: h.since})
		}
	}
	if len(free) > 0 {
		_ = k.opts.Member.Release(ctx, free...) // else they are free with the others
	}
	if err := k.opts.Member.Leave(ctx); err != nil {
		return fmt.Errorf("give the shards back: %w", err)
	}
	return nil
}
