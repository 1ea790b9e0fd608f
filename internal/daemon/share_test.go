package daemon_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/store"
)

// tally counts what a daemon asks of its store for the sake of others.
type tally struct {
	mu    sync.Mutex
	calls map[string]int
}

func (c *tally) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[what]++
}

func (c *tally) all() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

// spied is a store that counts these questions; shared says that there may be others.
type spied struct {
	store.Store

	shared bool
	tally  *tally
}

func (s spied) Shared() bool { return s.shared }

func (s spied) Join(ctx context.Context, name string, ttl time.Duration) (store.Member, error) {
	m, err := s.Store.Join(ctx, name, ttl)
	return spiedMember{m, s.tally}, err
}

type spiedMember struct {
	store.Member

	tally *tally
}

func (m spiedMember) Tokens(ctx context.Context, o budget.Order) (budget.Grant, error) {
	m.tally.add("tokens of " + o.Key)
	return m.Member.Tokens(ctx, o)
}

func (m spiedMember) Places(ctx context.Context, key string, most, want int) (int, error) {
	m.tally.add("places of " + key)
	return m.Member.Places(ctx, key, most, want)
}

func (m spiedMember) Hold(ctx context.Context, key string, h budget.Hold) error {
	m.tally.add("hold")
	return m.Member.Hold(ctx, key, h)
}

func (m spiedMember) Holds(ctx context.Context) (map[string]budget.Hold, error) {
	m.tally.add("holds")
	return m.Member.Holds(ctx)
}

func (m spiedMember) NewGates(ctx context.Context) (map[string]emitter.GateState, error) {
	m.tally.add("new gates")
	return m.Member.NewGates(ctx)
}

// The limits go the same way in both stores. Who is alone does not pay for it.
func TestOnlyADaemonThatIsNotAloneAsksItsStoreForWhatItMayDo(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared %t", shared), func(t *testing.T) {
			t.Parallel()
			c := &tally{calls: map[string]int{}}
			b := setup(t, `{"items":[]}`, "[host.\"127.0.0.1\"]\nrate = \"50/s\"\nconcurrency = 2\n", func(b *bundle) {
				b.wrap = func(s store.Store) store.Store { return spied{s, shared, c} }
				b.text = strings.Replace(b.text, "[webhook.app]", "[webhook.app]\nrate = \"100/s\"", 1)
			})
			b.baselined(t)
			b.api.set(`{"items":[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5}]}`)
			until(t, "the news", func() bool { return b.receiver.Replica.Report().Events == 5 })
			want := []string{"holds", "new gates", "places of host 127.0.0.1", "places of webhook app", "tokens of host 127.0.0.1", "tokens of webhook app"}
			if !shared {
				want = nil
			}
			until(t, "what is asked about every second", func() bool { return len(c.all()) >= len(want) })
			if got := slices.Sorted(maps.Keys(c.all())); !slices.Equal(got, want) {
				t.Errorf("it asked for %q, want %q", got, want)
			}
		})
	}
}
