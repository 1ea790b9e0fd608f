package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/deltahook/deltahook/internal/store"
)

// How long a member lives without a heartbeat. The member of an embedded store lives as long as its process: the lock on the
// file, not time, keeps a second one out.
const (
	memberTTL = 100 * 365 * 24 * time.Hour
	sharedTTL = 10 * time.Second
)

// Of sharedTTL: how often a heartbeat is sent, and how long before the end of the lease nothing is begun any more.
const (
	beatPeriod = sharedTTL / 5
	beatWait   = sharedTTL / 10
	leaseSpare = sharedTTL / 5
)

// own makes the daemon the member that owns every shard. Where others may be at work it waits for as long as the lease of
// one that has crashed may last.
func (d *Daemon) own(ctx context.Context) (err error) {
	ttl, patience := memberTTL, time.Duration(0)
	if d.opts.Store.Shared() {
		ttl, patience = sharedTTL, sharedTTL+beatPeriod
	}
	if d.member, err = store.Enter(ctx, d.opts.Store, "deltahook", ttl); err != nil {
		return err
	}
	d.onStop("store membership", d.member.Leave)
	told := false
	for end := time.Now().Add(patience); ; {
		err := store.AcquireAll(ctx, d.member)
		owned, others := errors.AsType[*store.OwnedError](err)
		if !others || time.Now().After(end) {
			return err
		}
		if !told {
			d.opts.Log.InfoContext(ctx, "another deltahook has the store, or had it until it crashed; waiting for its lease to run out", "owner", owned.By, "wait", patience.String())
			told = true
		}
		pause(ctx, time.Second)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// tenure is the membership of a store that others may work on, too.
type tenure struct {
	d       *Daemon
	trusted time.Time // until then nobody else can own what this process does
	working bool      // deliveries go out
}

// keepMembership sends heartbeats until everything else has stopped.
func (d *Daemon) keepMembership(ctx context.Context) {
	if !d.opts.Store.Shared() {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &tenure{d: d, trusted: time.Now().Add(sharedTTL - leaseSpare), working: true}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.pulse.every(ctx, "membership", beatPeriod, t.beat)
	}()
	d.onStop("heartbeats", func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
}

// beat extends the membership, or begins a new one when it was lost. While nobody can say who owns the shards, nothing is sent;
// what is polled meanwhile is refused by the store if somebody else does.
func (t *tenure) beat(ctx context.Context) {
	begun := time.Now()
	err := t.heartbeat(ctx)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		t.trusted = begun.Add(sharedTTL - leaseSpare)
		if !t.working {
			t.working = true
			t.d.opts.Log.InfoContext(ctx, "the store knows this deltahook again; deliveries go on")
			t.d.dispatcher.Take(store.AllShards()...)
		}
	case t.working && time.Now().After(t.trusted):
		t.stop(ctx, err)
	}
}

func (t *tenure) stop(ctx context.Context, err error) {
	t.working = false
	t.d.opts.Log.ErrorContext(ctx, "the membership of the store could not be extended in time, another deltahook may take over; nothing is sent until it is back", "err", err)
	t.d.dispatcher.Drop(store.AllShards()...)
}

func (t *tenure) heartbeat(ctx context.Context) error {
	beating, cancel := context.WithTimeout(ctx, beatWait)
	defer cancel()
	err := t.d.member.Heartbeat(beating)
	if !errors.Is(err, store.ErrMemberLost) {
		return err
	}
	if t.working {
		t.stop(ctx, err)
	}
	if err := t.d.member.Rejoin(ctx); err != nil {
		return err
	}
	return store.AcquireAll(ctx, t.d.member)
}
