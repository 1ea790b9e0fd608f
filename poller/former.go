package poller

import (
	"encoding/json"
	"slices"

	"github.com/deltahook/deltahook/differ"
)

// remind notes how records were compared and selected before the configuration changed.
func (p *Poller) remind(m *memory) {
	p.revive(m, m.state.Compare)
}

// recall notes how records were compared and selected before a change since which not all of them were read.
func (p *Poller) recall(m *memory) {
	if m.state.Former == "" {
		return
	}
	p.revive(m, m.state.Former)
	if s := m.state.Partitions; s != nil {
		m.behind = make(map[string]bool, len(s.Behind))
		for _, name := range s.Behind {
			m.behind[name] = true
		}
	}
}

func (p *Poller) revive(m *memory, text string) {
	m.former = p.shape
	var c comparison
	if json.Unmarshal([]byte(text), &c) != nil {
		return
	}
	if shape := c.shape(); shape != nil {
		m.former = shape
	}
	p.reselect(m, c)
}

// outdated gives the comparison from before an edit since which not all records were read, and the partitions that they are in;
// empty when all were.
func (w *walk) outdated() (former string, behind []string) {
	m := w.p.known
	if former = m.state.Former; m.state.Compare != w.p.compare {
		former = m.state.Compare
	}
	switch {
	case former == "", w.parts == nil && !w.more && !w.scan.unfinished:
		return "", nil
	case w.parts == nil:
		return former, nil
	}
	for _, name := range w.parts.names {
		if m.isBehind(name) && (w.scan.unfinished || !w.parts.wasRead(name)) {
			behind = append(behind, name)
		}
	}
	if len(behind) == 0 {
		return "", nil
	}
	slices.Sort(behind)
	return former, behind
}

// unread says that a known record was not read since what counts of it was edited: not at all, or not since the first poll after that,
// which leaves no fingerprint of the bytes of those that it did not read. Of a record with details that is so when the listing shows
// another one than it did; else what is stored is what it is.
func (s *scan) unread(known differ.Print) bool {
	m := s.p.known
	return s.edited && m.former != nil && (m.state.Compare != s.p.compare || known.Raw == 0)
}

// disown takes away the fingerprints of the bytes of what was not read.
func (s *scan) disown() {
	if s.details != nil {
		return // it did that for the records that it was asked for
	}
	s.index.Unseen(func(h differ.Hash, _ differ.Print, _ int) bool {
		s.index.SetRaw(h, 0)
		return true
	})
}

// isBehind says whether what was before an edit still counts for a partition.
func (m *memory) isBehind(partition string) bool { return m.behind == nil || m.behind[partition] }

func (p *Poller) reselect(m *memory, c comparison) {
	now := comparison{}
	if json.Unmarshal([]byte(p.compare), &now) != nil || slices.Equal(c.Where, now.Where) && c.Flag == now.Flag {
		return
	}
	if formerly, ok := c.selection(); ok {
		m.reselected, m.formerly, m.excluded = true, formerly, map[differ.Hash]bool{}
	}
}

// settled forgets the former configuration: what is stored is as the present one wants it.
func (m *memory) settled() {
	m.former, m.reselected, m.formerly, m.excluded, m.behind = nil, false, nil, nil, nil
}

// shape gives the shape that a stored comparison stands for; nil when it cannot be read.
func (c *comparison) shape() *differ.Shape {
	var spec differ.Spec
	for _, list := range []struct {
		texts []string
		paths *[]differ.Path
	}{{c.Fields, &spec.Fields}, {c.Ignore, &spec.Ignore}, {c.Unordered, &spec.Unordered}} {
		for _, text := range list.texts {
			path, err := differ.ParsePath(text)
			if err != nil {
				return nil
			}
			*list.paths = append(*list.paths, path)
		}
	}
	shape, err := spec.Compile()
	if err != nil {
		return nil
	}
	return shape
}

// selection gives the selection that a stored comparison stands for; false when it cannot be read.
func (c *comparison) selection() (*selection, bool) {
	sel := &selection{}
	for _, text := range c.Where {
		condition, err := differ.ParseCondition(text)
		if err != nil {
			return nil, false
		}
		sel.where = append(sel.where, condition)
	}
	if c.Flag == "" {
		return sel, true
	}
	flag, err := differ.ParseCondition(c.Flag)
	sel.flag = flag
	return sel, err == nil
}
