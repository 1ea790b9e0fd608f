package poller

import (
	"fmt"
	"slices"

	"github.com/deltahook/deltahook/differ"
)

// SendsTo says whether the source's events go to the webhook.
func (s *Source) SendsTo(webhook string) bool {
	return len(s.To) == 0 || slices.Contains(s.To, webhook)
}

// Glance is what a Poller has in memory of a record.
type Glance struct {
	Print   differ.Print
	Missing int // complete scans in a row that lacked it
}

// Glance gives what is in memory of a record; false when nothing is, or a poll runs right now.
func (p *Poller) Glance(key string) (Glance, bool) {
	select {
	case <-p.turn:
		p.tools = p.net.borrow()
		defer p.giveBack()
	default:
		return Glance{}, false
	}
	if p.known == nil || p.known.index == nil {
		return Glance{}, false
	}
	print, missing, ok := p.known.index.Get(p.hasher.Key([]byte(key)))
	return Glance{Print: print, Missing: missing}, ok
}

// Glance gives what is in memory of a record, see Poller.Glance.
func (s *Scheduler) Glance(source, key string) (Glance, bool, error) {
	t, err := s.find(source)
	if err != nil {
		return Glance{}, false, err
	}
	s.mu.Lock()
	p, ok := t.poller.(interface {
		Glance(key string) (Glance, bool)
	})
	s.mu.Unlock()
	if !ok {
		return Glance{}, false, fmt.Errorf("source %s: nothing is in memory", source)
	}
	g, found := p.Glance(key)
	return g, found, nil
}
