package poller

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/deltahook/deltahook/differ"
)

// selection says which records of a listing are followed: those for which where holds and that carry no mark of a deletion.
// A nil selection admits all.
type selection struct {
	where  []differ.Condition
	flag   differ.Condition
	silent bool // what where does not admit any more is forgotten, not deleted
}

func newSelection(s *Source) *selection {
	sel := &selection{where: s.Where, silent: s.WhereExit == "silent"}
	if s.Deletes.Detect == "flag" {
		sel.flag = s.Deletes.Flag
	}
	if len(sel.where) == 0 && sel.flag.IsZero() {
		return nil
	}
	return sel
}

// admits says whether a record is followed.
func (sel *selection) admits(body []byte) bool {
	if sel == nil {
		return true
	}
	for _, c := range sel.where {
		if !c.Match(body) {
			return false
		}
	}
	return !sel.flagged(body)
}

// flagged says whether a record is marked as deleted. The zero condition never holds.
func (sel *selection) flagged(body []byte) bool { return sel.flag.Match(body) }

// leaves says whether a record is not followed (any more). A known one whose bytes differ is put aside: it is gone, unless it
// was only the configuration that changed.
func (s *scan) leaves(hash differ.Hash, known bool, raw, canon uint64, body []byte) (bool, error) {
	sel := s.p.selected
	if sel.admits(body) {
		return false, nil
	}
	if !known {
		s.p.known.leaves(hash)
		return true, nil
	}
	now := s.p.hasher.Canon(s.p.shape, body)
	was, _, _ := s.index.Get(hash)
	if f := s.unread(was); f != nil && f.other {
		edited, err := s.onlyExcluded(f, hash, now == canon, body)
		if err != nil {
			return false, err
		}
		if edited {
			s.drop(hash)
			s.index.Set(hash, differ.Print{Raw: raw, Canon: now})
			s.p.known.dirty = true
			return true, nil
		}
	}
	s.touch(hash)
	s.index.Set(hash, differ.Print{Raw: raw, Canon: now})
	s.p.known.dirty = true
	s.exits++
	if sel.silent && !sel.flagged(body) {
		s.forgotten = append(s.forgotten, hash)
	} else {
		s.deleted = append(s.deleted, hash)
	}
	return true, nil
}

// onlyExcluded says whether a record that is not followed is not because of an edit alone: it was admitted, and what counted then is as it
// is stored. With details, what the list said of it is not stored.
func (s *scan) onlyExcluded(f *former, hash differ.Hash, same bool, body []byte) (bool, error) {
	if !f.selection.admits(body) || same || s.details != nil {
		return f.selection.admits(body), nil
	}
	err := s.p.opts.Ledger.Bodies(s.ctx, s.p.source.Name, []differ.Hash{hash}, func(_ differ.Hash, _ string, stored []byte) error {
		h := s.p.hasher
		same = !s.p.selected.admits(stored) || h.Canon(f.shape, stored) == h.Canon(f.shape, body)
		return nil
	})
	if err != nil {
		return false, s.p.storeFault("stored records cannot be compared", err)
	}
	return same, nil
}

// stays looks at a record that is as it was when it was admitted: the configuration may exclude it since then.
func (s *scan) stays(hash differ.Hash, since *former, body []byte) {
	if since != nil && !s.p.selected.admits(body) {
		s.drop(hash)
	}
}

// drop puts a known record aside that only the configuration excludes.
func (s *scan) drop(hash differ.Hash) {
	s.touch(hash)
	s.dropped[hash] = true
}

// joins says that an unknown record may be there only because the configuration excludes less than it did: that is no news.
func (s *scan) joins(hash differ.Hash, body []byte) bool {
	return s.waited(hash, body) || slices.ContainsFunc(s.formers, func(f *former) bool { return f.other && !f.selection.admits(body) })
}

// dismiss keeps known records that the configuration excludes since it was changed from being missed. Those that a list lacked are
// judged by what is stored of them, once all of the list was read. Where nothing proves that, all others wait to be seen, too.
func (w *walk) dismiss() error {
	s, m, last := w.scan, w.p.known, w.lastWindow()
	var unread []differ.Hash
	if len(m.formers) > 0 {
		doubtful := slices.ContainsFunc(w.lists(), w.waitsFor)
		s.index.Unseen(func(h differ.Hash, known differ.Print, _ int) bool {
			if f := cmp.Or(m.of(known), m.edit()); f != nil && (doubtful || f.other && s.details == nil) {
				unread = append(unread, h)
			}
			return true
		})
	}
	err := w.each(unread, func(h differ.Hash, key string, stored []byte) {
		list, excluded := w.p.partitionOf(key), s.details == nil && !w.p.selected.admits(stored) // with details, what the list said of it is not stored
		switch {
		case excluded && (last || w.lacks(list)):
			s.dropped[h] = true
		case w.waitsFor(list):
			s.doubted = append(s.doubted, h)
		case excluded:
			s.undecided = append(s.undecided, h)
		}
	})
	if err != nil {
		return err
	}
	for h := range s.dropped {
		print, _, _ := s.index.Get(h)
		s.index.Set(h, print)
		s.p.known.dirty = true
	}
	return nil
}

// unannounced lists the known records that are gone without an event.
func (s *scan) unannounced() []differ.Hash {
	gone := slices.SortedFunc(maps.Keys(s.dropped), func(a, b differ.Hash) int { return bytes.Compare(a[:], b[:]) })
	return slices.Concat(s.forgotten, gone)
}
