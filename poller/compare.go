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
	news   map[differ.Hash][]byte  // what the records are now
	unread map[differ.Hash]*former // since what counts of them was edited

	mu     sync.Mutex
	deltas map[differ.Hash]differ.Delta
}

// compare finds what is different in the pending updates.
func (s *scan) compare() (map[differ.Hash]differ.Delta, error) {
	c := comparing{news: map[differ.Hash][]byte{}, unread: map[differ.Hash]*former{}}
	hashes := make([]differ.Hash, 0, len(s.pending))
	for i := range s.pending {
		if one := &s.pending[i]; one.kind == differ.Updated {
			c.news[one.Hash] = one.body
			if one.unread != nil {
				c.unread[one.Hash] = one.unread
			}
			hashes = append(hashes, one.Hash)
		}
	}
	if len(hashes) == 0 {
		return nil, nil //nolint:nilnil // nothing to compare gives no deltas
	}
	c.deltas = make(map[differ.Hash]differ.Delta, len(hashes))
	var err error
	if len(hashes) < severalBodies || len(c.unread) > 0 { // for which there is one hasher
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
		d, err := s.delta(old, c.news[h], c.unread[h])
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
func (s *scan) delta(old, now []byte, unread *former) (differ.Delta, error) {
	if h := s.p.hasher; unread != nil && h.Canon(unread.shape, old) == h.Canon(unread.shape, now) {
		return differ.Delta{}, nil
	}
	return s.p.shape.Diff(old, now)
}
