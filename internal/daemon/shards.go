package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// shards is the work on the shards that this process owns: it polls their sources and delivers their events.
type shards struct {
	d     *Daemon
	first []store.Lease // that were claimed before the start
	rows  []store.SourceRow
	alone bool // at the start

	turn sync.Mutex // held while what is polled changes, a reload included

	mu    sync.Mutex
	owned map[int]bool
}

// coldAfter is how long nobody must have looked after a shard for its sources to begin as at a start (on_start).
const coldAfter = time.Minute

// overlap is added to the time for which nobody has looked after a shard: a poll too many does no harm, one too few may.
const overlap = time.Second

// overlapOf gives that of a source. Polls that its owner had begun when it died were not made to their end: a source that is polled
// rarely gets as long as a poll may take, one that is polled often as long as a request may, or all of them would be polled at once.
func overlapOf(source *poller.Source, died bool) time.Duration {
	every, deadline := source.Every.Std(), source.Deadline.Std()
	switch {
	case every == 0 || every > deadline:
		return max(overlap, deadline)
	case died:
		return max(overlap, min(every, source.Timeout.Std()))
	}
	return overlap
}

// endWait is how long the end of polls is waited for whose commits are refused anyway.
const endWait = 5 * time.Second

// open claims the first shards.
func (s *shards) open(ctx context.Context) (err error) {
	if s.first, s.alone, err = s.d.keeper.Open(ctx); err != nil {
		return fmt.Errorf("take over the sources: %w", err)
	}
	s.rows, err = s.d.member.Sources(ctx, shardsOf(s.first))
	if err != nil {
		return fmt.Errorf("read the sources: %w", err)
	}
	return nil
}

func shardsOf(leases []store.Lease) []int {
	list := make([]int, len(leases))
	for i, l := range leases {
		list[i] = l.Shard
	}
	return list
}

// prepare makes the pollers of the first shards. They wait for the start.
func (s *shards) prepare(ctx context.Context) error {
	p, err := s.d.scheduler.Prepare(s.sources(s.first, s.rows))
	if err != nil {
		return err
	}
	s.own(shardsOf(s.first), true)
	return s.d.scheduler.Apply(ctx, p)
}

// own notes which shards are ours, or not any more.
func (s *shards) own(list []int, ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, shard := range list {
		if s.owned[shard] = true; !ours {
			delete(s.owned, shard)
		}
	}
}

// start begins to deliver what the first shards have.
func (s *shards) start(ctx context.Context) error {
	if err := s.resumeAlerts(ctx, shardsOf(s.first)); err != nil {
		return fmt.Errorf("read what was told: %w", err)
	}
	s.d.dispatcher.Take(shardsOf(s.first)...) // what is parked from now on is counted
	return nil
}

// sources lists the configured sources of some shards, and until when others have looked after them.
func (s *shards) sources(leases []store.Lease, rows []store.SourceRow) poller.Change {
	known := make(map[string]bool, len(rows))
	for i := range rows {
		known[rows[i].Name] = true
	}
	since := map[int]time.Time{}
	for _, l := range leases {
		since[l.Shard] = l.Since
	}
	c, now := poller.Change{Since: map[string]time.Time{}}, time.Now()
	for _, source := range s.d.current().config.Sources {
		at, taken := since[store.ShardOf(source.Name)]
		if !taken {
			continue
		}
		c.Put = append(c.Put, source)
		if known[source.Name] && !at.IsZero() && !s.alone {
			if at = sinceOf(source, at, now, s.lease()); !at.IsZero() {
				c.Since[source.Name] = at
			}
		}
	}
	return c
}

// sinceOf gives from when on a source was not polled that others looked after until a time; zero: it begins as at a start. One that is
// polled in a period is then polled at once, too, but not out of phase, because its next time would be left out.
func sinceOf(source *poller.Source, until, now time.Time, lease time.Duration) time.Time {
	idle := now.Sub(until)
	until = until.Add(-overlapOf(source, idle >= lease)) // what is handed over is free for a moment only
	if idle < coldAfter {
		return until
	}
	if source.Every > 0 && source.OnStart != "schedule" {
		return earlier(until, now.Add(-source.Every.Std()))
	}
	return time.Time{}
}

// lease is how long a replica that has died counts as alive.
func (s *shards) lease() time.Duration { return s.d.opts.Config.Store.Lease.Std() }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Begin polls and delivers what the shards have.
func (s *shards) Begin(ctx context.Context, leases []store.Lease) error {
	list := shardsOf(leases)
	rows, err := s.d.member.Sources(ctx, list)
	if err != nil {
		return fmt.Errorf("read the sources that were taken over: %w", err)
	}
	if err := s.resumeAlerts(ctx, list); err != nil {
		return fmt.Errorf("read what was told: %w", err)
	}
	s.d.dispatcher.Take(list...)
	s.turn.Lock()
	defer s.turn.Unlock()
	s.alone = false
	s.put(ctx, s.sources(leases, rows))
	s.own(list, true)
	s.resumeBackfills(rows)
	return nil
}

// put begins to poll sources. One that cannot be polled by this process leaves the others alone.
func (s *shards) put(ctx context.Context, c poller.Change) {
	p, err := s.d.scheduler.Prepare(c)
	if err != nil {
		for i := range c.Put {
			one := poller.Change{Put: c.Put[i : i+1], Since: c.Since}
			if p, err := s.d.scheduler.Prepare(one); err != nil {
				s.d.opts.Log.ErrorContext(ctx, "a source that was taken over cannot be polled here", "source", c.Put[i].Name, "err", err)
			} else {
				_ = s.d.scheduler.Apply(ctx, p) // nothing is removed
			}
		}
		return
	}
	_ = s.d.scheduler.Apply(ctx, p)
}

// Yield ends the polls of the shards and begins no delivery any more.
func (s *shards) Yield(ctx context.Context, list []int) map[int]time.Time {
	s.d.dispatcher.Yield(list...)
	return s.remove(ctx, list)
}

// Settled says that no delivery of a shard is under way.
func (s *shards) Settled(shard int) bool { return s.d.dispatcher.Settled(shard) }

// End ends the work on shards that may be somebody else's. Their commits are refused, their receipts still count.
func (s *shards) End(ctx context.Context, list []int) {
	s.d.dispatcher.Drop(list...)
	ending, cancel := context.WithTimeout(ctx, endWait)
	defer cancel()
	s.remove(ending, list)
}

// remove ends the polls of the shards, and gives since when one of them has been due that was not made to its end.
func (s *shards) remove(ctx context.Context, list []int) (owed map[int]time.Time) {
	names, owed := s.disown(list)
	p, err := s.d.scheduler.Prepare(poller.Change{Remove: names})
	if err == nil {
		err = s.d.scheduler.Apply(ctx, p)
	}
	if err != nil && ctx.Err() == nil {
		s.d.opts.Log.ErrorContext(ctx, "a poll of a source that is somebody else's now does not end", "err", err)
	}
	return owed
}

// disown notes that the shards are not ours any more, so that nothing begins to poll their sources again, and gives these.
func (s *shards) disown(list []int) (names []string, owed map[int]time.Time) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.own(list, false)
	gone := map[int]bool{}
	for _, shard := range list {
		gone[shard] = true
	}
	owed = map[int]time.Time{}
	for _, source := range s.d.current().config.Sources {
		shard := store.ShardOf(source.Name)
		if !gone[shard] {
			continue
		}
		names = append(names, source.Name)
		if at := s.d.scheduler.Owed(source.Name); !at.IsZero() && (owed[shard].IsZero() || at.Before(owed[shard])) {
			owed[shard] = at
		}
	}
	if gone[store.ShardOf(emitter.Own)] {
		s.d.alerts.yield()
	}
	return names, owed
}

// Stir reads anew what others have queued or settled.
func (s *shards) Stir(list []int) { s.d.dispatcher.Take(list...) }

// owns says whether this process looks after a source.
func (s *shards) owns(source string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owned[store.ShardOf(source)]
}

// only leaves the sources out that others look after.
func (s *shards) only(list []*poller.Source) []*poller.Source {
	return slices.DeleteFunc(list, func(source *poller.Source) bool { return !s.owns(source.Name) })
}

// theirs says that another replica looks after a source.
func (s *shards) theirs(source string) bool {
	_, known := s.d.current().config.Source(source)
	return known && !s.owns(source)
}

// list gives the shards that are ours.
func (s *shards) list() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.owned))
}

// elsewhere says that a source is somebody else's, and whose; nil when it is ours, or nobody knows it.
func (s *shards) elsewhere(source string) error {
	if !s.theirs(source) {
		return nil
	}
	return fmt.Errorf("%w: source %s is looked after by %s, ask there", admin.ErrState, source, s.owner(source))
}

// owner names who looks after a source, for people.
func (s *shards) owner(source string) string {
	if owner := s.d.keeper.Owner(store.ShardOf(source)); owner != "" {
		return "the replica " + store.Name(owner)
	}
	return "a replica that has not begun yet"
}

// resumeFirst goes on where the backfills of the first sources were.
func (s *shards) resumeFirst() {
	s.resumeBackfills(s.rows)
	s.first, s.rows = nil, nil
}

// resumeBackfills goes on where the backfills of sources were.
func (s *shards) resumeBackfills(rows []store.SourceRow) {
	for i := range rows {
		if rows[i].State.Backfill.Active() {
			s.d.backfills.begin(rows[i].Name)
		}
	}
}

// resumeAlerts reads what was told, once it is this process that tells.
func (s *shards) resumeAlerts(ctx context.Context, list []int) error {
	if !slices.Contains(list, store.ShardOf(emitter.Own)) {
		return nil
	}
	err := s.d.alerts.restore(ctx)
	if errors.Is(err, poller.ErrFenced) {
		return nil // it is lost again, which the next look finds
	}
	return err
}
