package poller

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/deltahook/deltahook/differ"
)

// Edits is what is remembered of edits of what is compared, until all records were read: what only an edit brought to light is no news.
type Edits struct {
	Formers []string       `json:"formers"`          // what State.Compare was
	Behind  map[string]int `json:"behind,omitempty"` // lists (partitions, or the empty name) that were not read as a whole since, and places in Formers
	// Joining are records that are followed since an edit only, and wait for their details: in hex, the hash of the key and the fingerprint
	// of what counts of its entry in the list (which former versions did not write).
	Joining []string `json:"joining,omitempty"`
}

func (e *Edits) equal(o *Edits) bool {
	if e == nil || o == nil {
		return e == o
	}
	return slices.Equal(e.Formers, o.Formers) && maps.Equal(e.Behind, o.Behind) && slices.Equal(e.Joining, o.Joining)
}

func (e *Edits) formers() []string {
	if e == nil {
		return nil
	}
	return e.Formers
}

// former is how records were compared and selected before an edit since which not all of them were read.
type former struct {
	text       string // as Edits has it
	place      int    // in Edits.Formers
	shape      *differ.Shape
	other      bool // it selects other records than the configuration does
	selection  *selection
	partitions map[string]bool // of the known records, when another source names them
}

// A record that was not read since an edit has a mark in the upper bits of Print.Raw: the place of what was before that edit in
// Edits.Formers, from 1, and whether it waits although its list was read since: for its detail, or to be seen. The others are its fingerprint.
const (
	rawBits   = 57
	rawMask   = 1<<rawBits - 1
	markBits  = 6
	mostMarks = 1<<markBits - 1
	markWaits = 1 << 63
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
	m.formers = nil
	for _, text := range m.state.Edits.formers() {
		p.revive(m, text)
	}
	m.joining = map[differ.Hash]uint64{}
	if m.state.Edits == nil {
		return
	}
	for _, text := range m.state.Edits.Joining {
		var h differ.Hash
		if b, err := hex.DecodeString(text); err == nil && len(b) >= len(h) {
			copy(h[:], b)
			m.joining[h] = 0
			if rest := b[len(h):]; len(rest) == 8 {
				m.joining[h] = binary.BigEndian.Uint64(rest)
			}
		}
	}
}

// waited says whether an unknown record waits for its detail since an edit, and what counted of its entry is as it was: another one is news.
func (s *scan) waited(hash differ.Hash, body []byte) bool {
	m := s.p.known
	was, waits := m.joining[hash]
	same := func(f *former) bool { return s.p.hasher.Canon(f.shape, body) == was }
	if waits && was != 0 && s.p.hasher.Canon(s.p.shape, body) != was && !slices.ContainsFunc(m.formers, same) {
		m.leaves(hash)
		return false
	}
	return waits
}

// leaves notes that a record does not wait any more: what it becomes is news.
func (m *memory) leaves(hash differ.Hash) {
	if _, waits := m.joining[hash]; waits {
		delete(m.joining, hash)
		m.dirty = true
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
	f := &former{text: text, place: min(len(m.formers), mostMarks-1), shape: p.shape, partitions: map[string]bool{}}
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

// outdated gives what is to be remembered of edits since which not all records were read. All says that all lists were: only records
// that are not decided upon may be left.
func (w *walk) outdated() (edits *Edits, all bool, err error) {
	e, m := &Edits{Behind: map[string]int{}, Joining: w.joining()}, w.p.known
	if len(m.formers) == 0 {
		return nil, false, nil
	}
	if err := w.relieve(); err != nil {
		return nil, false, err
	}
	for _, name := range w.lists() {
		if list := m.since(name); len(list) > 0 && (w.more || w.missed(name)) {
			e.Behind[name] = list[0].place
		}
	}
	all = len(e.Behind)+len(e.Joining) == 0 && !w.reach.ahead && !m.waits()
	if all && len(w.scan.undecided)+len(w.scan.doubted) == 0 {
		return nil, true, nil
	}
	for _, f := range m.formers {
		if len(e.Formers) == mostMarks { // the last one has the place of those behind it
			e.Formers = e.Formers[:mostMarks-1]
		}
		e.Formers = append(e.Formers, f.text)
	}
	return e, all, nil
}

// lists names the lists whose records may not have been read since an edit: those of this poll, and partitions that have none in it.
func (w *walk) lists() []string {
	if w.parts == nil {
		return []string{""}
	}
	m, names := w.p.known, slices.Clone(w.parts.names)
	if edit := m.edit(); edit != nil {
		names = slices.AppendSeq(names, maps.Keys(edit.partitions))
	}
	if m.state.Edits != nil && m.marked() { // else their records are gone
		names = slices.AppendSeq(names, maps.Keys(m.state.Edits.Behind))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// marked says whether a record was not read since an edit.
func (m *memory) marked() bool { return m.hasRaw(func(raw uint64) bool { return raw > rawMask }) }

// waits says whether a record waits since an edit although its list was read.
func (m *memory) waits() bool { return m.hasRaw(func(raw uint64) bool { return raw&markWaits != 0 }) }

func (m *memory) hasRaw(is func(raw uint64) bool) (found bool) {
	m.index.All(func(_ differ.Hash, p differ.Print, _ int) bool {
		found = is(p.Raw)
		return !found
	})
	return found
}

// relieve lets records no longer wait that their lists lack.
func (w *walk) relieve() error {
	waiting := map[differ.Hash]uint64{}
	w.scan.index.Unseen(func(h differ.Hash, p differ.Print, _ int) bool {
		if p.Raw&markWaits != 0 && !w.scan.details.asks(h) {
			waiting[h] = p.Raw & rawMask
		}
		return true
	})
	var err error
	failed := w.each(slices.Collect(maps.Keys(waiting)), func(h differ.Hash, key string, _ []byte) {
		if w.lacks(w.p.partitionOf(key)) {
			err = errors.Join(err, w.scan.reprint(h, waiting[h]))
		}
	})
	return errors.Join(failed, err)
}

// remarkAll has what is not decided upon wait. When all lists were read, all other marks end with the edits that they are about: those of
// later edits would have the same places.
func (s *scan) remarkAll(all bool) error {
	m, marks, waiting := s.p.known, map[differ.Hash]uint64{}, s.doubted
	if all {
		waiting = slices.Concat(waiting, s.undecided)
		s.index.All(func(h differ.Hash, p differ.Print, _ int) bool {
			if p.Raw > rawMask {
				marks[h] = p.Raw & rawMask
			}
			return true
		})
	}
	for _, h := range waiting {
		if print, _, known := s.index.Get(h); known { // else it is deleted by this poll
			marks[h] = cmp.Or(m.of(print), m.edit()).marks(print.Raw) | markWaits
		}
	}
	for h, raw := range marks {
		if err := s.reprint(h, raw); err != nil {
			return err
		}
	}
	return nil
}

// joining gives the records that are no news when their details come, as far as there is room for them.
func (w *walk) joining() []string {
	const most = 1000
	d := w.scan.details
	if d == nil {
		return nil
	}
	joining := maps.Clone(d.joining)
	if all := (w.scan.proven || w.parts == nil && w.lacks("")) && d.left == 0; !all {
		maps.Copy(joining, w.p.known.joining)
	}
	var list []string
	for h, canon := range joining {
		if _, _, known := w.scan.index.Get(h); !known {
			list = append(list, hex.EncodeToString(binary.BigEndian.AppendUint64(h[:], canon)))
		}
	}
	slices.Sort(list)
	return list[:min(len(list), most)]
}

// missed says that not all of a list was read and taken in, as far as it was asked for.
func (w *walk) missed(name string) bool {
	return w.scan.unfinished || w.parts != nil && !w.parts.wasRead(name)
}

// unread gives how a known record was compared when it was last read, if what counts of it was edited since; nil: it was not. Where a list
// is read as far as it is asked for, a record that it did not show since an edit is as it is known.
func (s *scan) unread(known differ.Print) *former {
	if f := s.p.known.of(known); f != nil && (known.Raw&markWaits != 0 || len(s.formers) > 0) {
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

// disown marks what was not read by the first poll after an edit, as long as edits are remembered. Where the bytes of a listing are not
// stored, only those that come back can show whether they are still followed: they have no fingerprint, so that they are looked at.
func (s *scan) disown(remembered bool) {
	m := s.p.known
	edit := m.edit()
	unsure := edit != nil && edit.other && len(m.state.Details) > 0
	s.index.Unseen(func(h differ.Hash, known differ.Print, _ int) bool {
		if remembered {
			known.Raw = m.unreadRaw(known)
		}
		if unsure {
			known.Raw &^= rawMask
		}
		s.index.SetRaw(h, known.Raw)
		return true
	})
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
