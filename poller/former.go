package poller

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/deltahook/deltahook/differ"
)

// Edits is what is remembered of edits of what is compared, until all records were read: what only an edit brought to light is no news.
type Edits struct {
	Formers []string       `json:"formers"`          // what State.Compare was
	Behind  map[string]int `json:"behind,omitempty"` // lists (partitions, or the empty name) that were not read as a whole since, and places in Formers
}

func (e *Edits) equal(o *Edits) bool {
	if e == nil || o == nil {
		return e == o
	}
	return slices.Equal(e.Formers, o.Formers) && maps.Equal(e.Behind, o.Behind)
}

func (e *Edits) formers() []string {
	if e == nil {
		return nil
	}
	return e.Formers
}

// former is how records were compared and selected before an edit since which not all of them were read.
type former struct {
	text      string // as Edits has it
	place     int    // in Edits.Formers
	shape     *differ.Shape
	other     bool // it selects other records than the configuration does
	selection *selection
	excluded  []differ.Hash // known records that are followed no more since then, as they are stored
}

// A record that was not read since an edit has a mark in the upper bits of Print.Raw: the place of what was before that edit in
// Edits.Formers, from 1, and whether it was listed since, and waits for its detail. The others are its fingerprint.
const (
	rawBits    = 57
	rawMask    = 1<<rawBits - 1
	markBits   = 6
	mostMarks  = 1<<markBits - 1
	markListed = 1 << 63
)

func (f *former) marks(raw uint64) uint64 { return raw&rawMask | uint64(f.place+1)<<rawBits } //nolint:gosec // it is at most mostMarks

// of gives the former configuration that a record is marked with; nil: with none.
func (m *memory) of(known differ.Print) *former {
	if mark := known.Raw >> rawBits & mostMarks; mark > 0 && mark <= uint64(len(m.formers)) {
		return m.formers[mark-1]
	}
	return nil
}

// recall notes how records were compared and selected before edits since which not all of them were read.
func (p *Poller) recall(m *memory) {
	for _, text := range m.state.Edits.formers() {
		p.revive(m, text)
	}
}

// remind notes how records were compared and selected before an edit of which no poll has taken note yet.
func (p *Poller) remind(m *memory) {
	p.recall(m)
	p.revive(m, m.state.Compare)
}

// edit gives what was before an edit of which no poll has taken note yet; nil: there was none.
func (m *memory) edit() *former {
	if n := len(m.state.Edits.formers()); len(m.formers) > n {
		return m.formers[n]
	}
	return nil
}

func (p *Poller) revive(m *memory, text string) {
	f := &former{text: text, place: min(len(m.formers), mostMarks-1), shape: p.shape}
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

// since gives what was before the edits since which a list was not read as a whole: the one of a partition, or of a source without any
// when the name is empty.
func (m *memory) since(partition string) []*former {
	edits := m.state.Edits
	if edits == nil {
		return m.formers
	}
	if place, behind := edits.Behind[partition]; behind && place < len(m.formers) {
		return m.formers[place:]
	}
	return m.formers[len(edits.Formers):]
}

// outdated gives what is to be remembered of edits since which not all records were read.
func (w *walk) outdated() *Edits {
	e, m, names := &Edits{Behind: map[string]int{}}, w.p.known, []string{""}
	if w.parts != nil {
		names = w.parts.names
	}
	for _, name := range names {
		if list := m.since(name); len(list) > 0 && (w.more || w.missed(name)) {
			e.Behind[name] = list[0].place
		}
	}
	if len(m.formers) == 0 || len(e.Behind) == 0 && !w.more && !w.reach.ahead && !w.scan.details.owes() {
		return nil
	}
	for _, f := range m.formers[:min(len(m.formers), mostMarks)] {
		e.Formers = append(e.Formers, f.text)
	}
	return e
}

// missed says that not all of a list was read and taken in, as far as it was asked for.
func (w *walk) missed(name string) bool {
	return w.scan.unfinished || w.parts != nil && !w.parts.wasRead(name)
}

// unread gives how a known record was compared when it was last read, if what counts of it was edited since; nil: it was not. Where a list
// is read as far as it is asked for, a record that it did not show since an edit is as it is known.
func (s *scan) unread(known differ.Print) *former {
	if f := s.p.known.of(known); f != nil && (known.Raw&markListed != 0 || len(s.formers) > 0) {
		return f
	}
	return s.p.known.edit()
}

// unreadRaw gives the Print.Raw of a record that a poll did not read.
func (m *memory) unreadRaw(known differ.Print) uint64 {
	if edit := m.edit(); edit != nil && m.of(known) == nil {
		return edit.marks(known.Raw)
	}
	return known.Raw
}

// disown marks what was not read by the first poll after an edit.
func (s *scan) disown() {
	s.index.Unseen(func(h differ.Hash, known differ.Print, _ int) bool {
		s.index.SetRaw(h, s.p.known.unreadRaw(known))
		return true
	})
}

// settled forgets the former configurations: what is stored is as the present one wants it.
func (m *memory) settled() { m.formers = nil }

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
