package poller

import (
	"sync"

	"github.com/deltahook/deltahook/differ"
)

// tools are what a poll works with and leaves to the next one, of whatever source: beside a small list they are large, and there may
// be very many sources.
type tools struct {
	hasher *differ.Hasher
	reader *differ.Reader
}

// toolbox lends tools.
type toolbox struct {
	seed differ.Seed
	free sync.Pool
}

func (b *toolbox) borrow() *tools {
	if t, ok := b.free.Get().(*tools); ok {
		return t
	}
	return &tools{hasher: differ.NewHasher(b.seed), reader: &differ.Reader{}}
}

func (b *toolbox) giveBack(t *tools) {
	t.reader.Renew(nil, differ.Options{}) // it holds on to nothing of the answer
	b.free.Put(t)
}
