package poller

import (
	"encoding/json"
	"slices"

	"github.com/deltahook/deltahook/differ"
)

// former is how records were compared and selected before an edit since which not all of them were read.
type former struct {
	text      string // as State.Formers has it
	mark      uint64 // stands for the fingerprint of the bytes of records that were last read under it: its place in State.Formers
	shape     *differ.Shape
	other     bool // it selects other records than the configuration does
	selection *selection
	excluded  []differ.Hash // known records that are followed no more since then, as they are stored
}

// recall notes how records were compared and selected before edits since which not all of them were read.
func (p *Poller) recall(m *memory) {
	for _, text := range m.state.Formers {
		p.revive(m, text)
	}
	if s := m.state.Partitions; s != nil && len(m.formers) > 0 {
		m.behind = make(map[string]bool, len(s.Behind))
		for _, name := range s.Behind {
			m.behind[name] = true
		}
	}
}

// remind notes how records were compared and selected before an edit of which no poll has taken note yet.
func (p *Poller) remind(m *memory) {
	p.recall(m)
	p.revive(m, m.state.Compare)
	m.behind = nil
}

// edit gives what was before an edit of which no poll has taken note yet; nil: there was none.
func (m *memory) edit() *former {
	if n := len(m.state.Formers); len(m.formers) > n {
		return m.formers[n]
	}
	return nil
}

func (p *Poller) revive(m *memory, text string) {
	f := &former{text: text, mark: uint64(len(m.formers)), shape: p.shape}
	if again := slices.Index(m.state.Formers, text); again >= 0 {
		f.mark = uint64(again)
	}
	m.formers = append(m.formers, f)
	var c, now comparison
	if json.Unmarshal([]byte(text), &c) != nil {
		return
	}
	if shape := c.shape(); shape != nil {
		f.shape = shape
	}
	if json.Unmarshal([]byte(p.compare), &now) != nil || slices.Equal(c.Where, now.Where) && c.Flag == now.Flag {
		return
	}
	f.selection, f.other = c.selection()
}

// outdated gives the comparisons from before edits since which not all records were read, and the partitions that they are in; none when
// all were.
func (w *walk) outdated() (formers, behind []string) {
	m := w.p.known
	if len(m.formers) == 0 || w.parts == nil && !w.more && !w.scan.unfinished {
		return nil, nil
	}
	for i, f := range m.formers {
		if f.mark == uint64(i) {
			formers = append(formers, f.text)
		}
	}
	if w.parts == nil {
		return formers, nil
	}
	for _, name := range w.parts.names {
		if m.isBehind(name) && (w.scan.unfinished || !w.parts.wasRead(name)) {
			behind = append(behind, name)
		}
	}
	if len(behind) == 0 {
		return nil, nil
	}
	slices.Sort(behind)
	return formers, behind
}

// unread gives how a known record was compared when it was last read, if what counts of it was edited since; nil: it was not. The first
// poll after an edit marks what it does not read. Of a record with details it marks those that the listing shows otherwise than it did;
// else what is stored is what it is.
func (s *scan) unread(known differ.Print) *former {
	m := s.p.known
	switch {
	case !s.edited:
		return nil
	case m.marked(known):
		return m.formers[known.Raw]
	}
	return m.edit()
}

// marked says that a record was not read since it was marked.
func (m *memory) marked(known differ.Print) bool { return known.Raw < uint64(len(m.formers)) }

// disown marks what was not read by the first poll after an edit.
func (s *scan) disown() {
	if s.details != nil {
		return // it did that for the records that it was asked for
	}
	m := s.p.known
	s.index.Unseen(func(h differ.Hash, known differ.Print, _ int) bool {
		if !m.marked(known) {
			s.index.SetRaw(h, m.edit().mark)
		}
		return true
	})
}

// isBehind says whether what was before an edit still counts for a partition.
func (m *memory) isBehind(partition string) bool { return m.behind == nil || m.behind[partition] }

// settled forgets the former configurations: what is stored is as the present one wants it.
func (m *memory) settled() { m.formers, m.behind = nil, nil }

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
