package poller

import (
	"fmt"
	"sync"

	"github.com/deltahook/deltahook/differ"
)

// severalBodies is from how many stored bodies on half of them are read and compared in another goroutine.
const severalBodies = 64

// comparing has the updates of one flush.
type comparing struct {
	news map[differ.Hash][]byte // what the records are now

	mu     sync.Mutex
	deltas map[differ.Hash]differ.Delta
}

// besides are pending changes that a goroutine of their own compares.
type besides struct {
	pending  []pending
	deltas   map[differ.Hash]differ.Delta
	err      error
	panicked any
	done     chan struct{}
}

// pass has the pending changes compared while the listing is read on. What may be taken back later, or is to be asked for more, is not
// passed on before it is complete.
func (s *scan) pass() error {
	if s.details != nil || s.changes != nil || s.p.known.former != nil {
		return s.flush()
	}
	if err := s.arrive(); err != nil {
		return err
	}
	b := &besides{pending: s.pending, done: make(chan struct{})}
	s.pending, s.spare, s.waiting, s.beside = s.spare[:0], nil, 0, b
	go func() {
		defer close(b.done)
		defer func() { b.panicked = recover() }()
		b.deltas, b.err = s.compare(b.pending)
	}()
	return nil
}

// arrive puts what was passed on onto the spool.
func (s *scan) arrive() error {
	b := s.beside
	if b == nil {
		return nil
	}
	s.wait()
	if b.panicked != nil {
		panic(b.panicked)
	}
	if b.err != nil {
		return b.err
	}
	err := s.enter(b.pending, b.deltas)
	clear(b.pending)
	s.spare = b.pending
	return err
}

// wait lets nothing run on that belongs to the poll.
func (s *scan) wait() {
	if s.beside != nil {
		<-s.beside.done
		s.beside = nil
	}
}

// flush compares the pending updates with their stored bodies and puts all that is pending on the spool, in order.
func (s *scan) flush() error {
	if err := s.arrive(); err != nil {
		return err
	}
	var err error
	if s.pending, err = s.details.fill(s.pending); err != nil {
		return err
	}
	deltas, err := s.compare(s.pending)
	if err != nil {
		return err
	}
	err = s.enter(s.pending, deltas)
	s.pending, s.waiting = s.pending[:0], 0
	return err
}

// enter puts changes on the spool.
func (s *scan) enter(list []pending, deltas map[differ.Hash]differ.Delta) error {
	for i := range list {
		c := &list[i]
		e := entry{kind: c.kind, known: c.Known, key: c.key, body: c.body, quiet: c.quiet}
		if c.kind == differ.Updated {
			d, ok := deltas[c.Hash]
			if !ok {
				return s.lostBody(c)
			}
			if e.delta = d; len(d.Changed) == 0 {
				e.quiet = true
				if !c.edited {
					s.counts.Updated--
				}
			}
		}
		if err := s.spool.add(&e); err != nil {
			return err
		}
	}
	return nil
}

// lostBody should not happen: the index is read anew, and if the store really lost the body, the message says so each time.
func (s *scan) lostBody(c *pending) error {
	s.p.forget()
	return newFault("run deltahook again; if this stays, the store is damaged", "the store has no body of the known record %q", c.key)
}

// compare finds what is different in those of the changes that are updates.
func (s *scan) compare(list []pending) (map[differ.Hash]differ.Delta, error) {
	c := comparing{news: map[differ.Hash][]byte{}}
	hashes := make([]differ.Hash, 0, len(list))
	for i := range list {
		if one := &list[i]; one.kind == differ.Updated {
			c.news[one.Hash] = one.body
			hashes = append(hashes, one.Hash)
		}
	}
	if len(hashes) == 0 {
		return nil, nil //nolint:nilnil // nothing to compare gives no deltas
	}
	c.deltas = make(map[differ.Hash]differ.Delta, len(hashes))
	var err error
	if former := s.p.known.former; len(hashes) < severalBodies || former != nil { // for which there is one hasher
		err = s.compareStored(&c, hashes)
	} else {
		half := len(hashes) / 2
		err = beside(func() error { return s.compareStored(&c, hashes[:half]) }, func() error { return s.compareStored(&c, hashes[half:]) })
	}
	if err != nil {
		return nil, s.p.storeFault("stored records cannot be compared", err)
	}
	return c.deltas, nil
}

func (s *scan) compareStored(c *comparing, hashes []differ.Hash) error {
	return s.p.opts.Ledger.Bodies(s.ctx, s.p.source.Name, hashes, func(h differ.Hash, key string, old []byte) error {
		d, err := s.delta(old, c.news[h])
		if err != nil {
			return fmt.Errorf("record %q: %w", key, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.deltas[h] = d
		return nil
	})
}

// delta compares two bodies. What only a change of the configuration made visible is no change.
func (s *scan) delta(old, now []byte) (differ.Delta, error) {
	if former := s.p.known.former; former != nil && s.edited {
		h := s.p.hasher
		if h.Canon(former, old) == h.Canon(former, now) {
			return differ.Delta{}, nil
		}
	}
	return s.p.shape.Diff(old, now)
}
