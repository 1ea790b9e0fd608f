package poller

import (
	"slices"

	"github.com/deltahook/deltahook/differ"
)

// seam joins pages that share records. A list that is changed while it is read shifts: behind a record that was removed all
// others move up, one of them over the edge of the page that comes next, and would never be seen. As long as a page shows one of
// the last records of those before it, nothing between them was missed.
type seam struct {
	most  int           // records that two pages share, pages.overlap
	asked int           // records of the current page that earlier ones should have shown
	tail  []differ.Hash // keys of the last records, in the order of the list
	again []int         // places on the current page of records that were seen before
	torn  int           // the first page that has nothing in common with those before it; 0: none
	full  int           // records of the largest page
	// strangers are records of this page that are not known yet, and former those of the page before: they may be left aside, and
	// then nobody else remembers that they were seen.
	strangers, former map[differ.Hash]bool
}

func newSeam(p Pages) *seam {
	if p.Overlap == 0 {
		return nil
	}
	return &seam{most: p.Overlap}
}

// begin starts a page of which the first records should be known.
func (s *seam) begin(asked int) {
	if s != nil {
		s.asked, s.again = asked, s.again[:0]
		s.strangers, s.former = map[differ.Hash]bool{}, s.strangers
	}
}

// knew says whether a record that is not known was on the page before.
func (s *seam) knew(hash differ.Hash) bool {
	if s == nil {
		return false
	}
	s.strangers[hash] = true
	return s.former[hash]
}

// end looks where the keys of a page join those before it. It gives the number of records that were expected again, of those
// that were seen again without a reason, and how many there are behind the place where the pages join.
func (s *seam) end(page int, keys []differ.Hash) (expected, repeated, behind int) {
	joint := -1
	for i, key := range slices.Backward(keys) {
		if slices.Contains(s.tail, key) {
			joint = i
			break
		}
	}
	if joint < 0 && s.asked > 0 && s.torn == 0 {
		s.torn = page
	}
	for _, place := range s.again {
		if place > joint {
			repeated++
		} else {
			expected++
		}
	}
	s.tail = append(s.tail, keys[joint+1:]...)
	s.tail = slices.Delete(s.tail, 0, max(len(s.tail)-s.most, 0))
	return expected, repeated, len(keys) - (joint + 1)
}

// endPage takes what the page before has shown, too, out of the counts. It gives the number of records behind it: none when
// the page ends where the one before did, though it had room for more.
func (s *scan) endPage(shown, skipped int) (records int) {
	if s.seam == nil {
		return shown
	}
	expected, repeated, behind := s.seam.end(s.page, s.hashes)
	s.repeated += repeated
	s.counts.Records -= expected
	if behind+skipped == 0 && shown == s.seam.full {
		return shown // it had no room
	}
	s.seam.full = max(s.seam.full, shown)
	return behind + skipped
}
