package budget

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/trust"
)

// PoolOptions make a Pool. Bank and Members are required.
type PoolOptions struct {
	Bank    Bank
	Members func() []string // IDs of those who work, this one included; it does not wait
	Trust   *trust.Window   // is open as long as nobody else can be given what this member has
}

// Pool is what a member knows of the others. The nil Pool is that of one who is alone. It is safe for concurrent use.
type Pool struct {
	opts PoolOptions
	wake chan struct{}

	mu    sync.Mutex
	view  View
	id    string
	holds map[string]Hold
	told  map[string]Hold // that the bank does not know yet
}

// View is what there is to know of the members at a moment.
type View struct {
	Members int  // that work; 0: nobody knows
	Rank    int  // of this one among them, from 0
	Spell   int  // another one after this member was taken for dead
	Sure    bool // this member lives, and nobody can have been given what it has
}

// NewPool makes a pool that knows nothing before Refresh.
func NewPool(o PoolOptions) *Pool {
	return &Pool{opts: o, wake: make(chan struct{}, 1), holds: map[string]Hold{}, told: map[string]Hold{}}
}

// Shared says whether there may be others.
func (p *Pool) Shared() bool { return p != nil }

// Bank is where the members draw from.
func (p *Pool) Bank() Bank { return p.opts.Bank }

// Wake has something when Refresh should be called before its time.
func (p *Pool) Wake() <-chan struct{} { return p.wake }

// Refresh looks who works, tells the holds that are new, and reads those of others. It is called about every second.
func (p *Pool) Refresh(ctx context.Context) error {
	p.see(p.opts.Members())
	if err := p.tell(ctx); err != nil {
		return err
	}
	holds, err := p.opts.Bank.Holds(ctx)
	if err != nil {
		return fmt.Errorf("read who is left alone: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds = holds
	return nil
}

func (p *Pool) see(members []string) {
	members = slices.Sorted(slices.Values(members))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.view.Members = len(members)
	p.view.Rank, p.view.Sure = slices.BinarySearch(members, p.known())
}

// known gives the ID of this member. What one of another ID had is gone.
func (p *Pool) known() string {
	if id := p.opts.Bank.ID(); id != p.id {
		p.id, p.view.Sure = id, false
		p.view.Spell++
	}
	return p.id
}

// View gives what is known now.
func (p *Pool) View(now time.Time) View {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known()
	v := p.view
	v.Sure = v.Sure && p.opts.Trust.Open(now)
	return v
}

// Hold lets nobody use a key for a while: the others when they hear of it.
func (p *Pool) Hold(key string, h Hold) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.Until.After(p.told[key].Until) {
		p.told[key] = h
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Held gives the hold of a key that others have told of; the zero Hold when there is none.
func (p *Pool) Held(key string) Hold {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holds[key]
}

// tell tells the holds that the bank does not know.
func (p *Pool) tell(ctx context.Context) error {
	for {
		key, h, ok := p.untold()
		if !ok {
			return nil
		}
		if err := p.opts.Bank.Hold(ctx, key, h); err != nil {
			return fmt.Errorf("tell that %s is left alone: %w", key, err)
		}
		p.mu.Lock()
		if p.told[key] == h {
			delete(p.told, key)
		}
		p.mu.Unlock()
	}
}

func (p *Pool) untold() (string, Hold, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, h := range p.told {
		return key, h, true
	}
	return "", Hold{}, false
}
