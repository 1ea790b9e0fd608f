package poller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/differ"
)

// scan compares the records of one poll with what is known and collects what differs.
type scan struct {
	p     *Poller
	ctx   context.Context //nolint:containedctx // a scan lives for one poll
	index *differ.Index
	spool *spool
	watch *TryOptions // of a trial; nil otherwise

	quiet      bool      // what differs is no news: nothing is known yet, or a person discarded it
	formers    []*former // from before edits since which the present list was not read as a whole
	salt       uint64    // of the raw fingerprints: what else than its bytes makes a record the one that is known
	details    *details
	partition  string
	emptied    string   // a partition whose list is empty; empty when there is none
	lost       int      // records of it that were known
	changes    []change // of the index by the present partition, so that they can be taken back; nil without partitions
	keyInBytes bool     // a record whose bytes are known needs no look at its key
	counts     Poll

	page     int           // answers begun
	hashes   []differ.Hash // keys of the current answer, when it is not the first
	digest   uint64        // of the keys of the current answer
	repeated int           // records seen on two pages
	gauge    *gauge        // of the watermark; nil without a cursor
	seam     *seam         // of pages that overlap; nil when they do not
	garbled  string        // key of a new or changed record that is not valid UTF-8; empty: none
	endless  int           // the last page whose end nothing proves; 0: none
	keyless  *keyless      // the first record without a usable key

	key     []byte
	pending []pending     // changes whose order is kept while stored bodies are fetched
	waiting int           // bytes in pending
	deleted []differ.Hash // known records that are gone
	witness differ.Hash   // a known record that was seen
	absent  []Known       // known records that this complete scan lacked, but not yet often enough

	recounted []Known // missing records whose count changes although they are neither absent nor deleted
	unclear   int     // missing records that were not verified
	proven    bool    // what the listing lacks is not there
	retry     bool    // the same listing must be read again
	// unfinished says that the listing was read, but not all that it tells could be taken in by this poll.
	unfinished bool

	exits     int                  // records that are not followed any more: those of deleted that were seen, and forgotten
	forgotten []differ.Hash        // known records that are gone, which is no news
	dropped   map[differ.Hash]bool // known records that the configuration excludes since it was changed
	undecided []differ.Hash        // known records that it excludes as they are stored, and may not as they are
	doubted   []differ.Hash        // known records that a list lacked behind an edit, and may be there
}

// keyless tells of a record that cannot be identified.
type keyless struct {
	number int // among all records of the poll, from 1
	err    *differ.KeyError
}

func (s *scan) beginPage() {
	s.page++
	s.hashes, s.digest = s.hashes[:0], 0
	if s.watch != nil && s.watch.Page != nil {
		s.watch.Page(s.page)
	}
}

// record looks at one record. An unchanged one in its usual place costs one hash.
func (s *scan) record(rec differ.Record) error {
	s.counts.Records++
	s.gauge.see(rec.Raw)
	raw := (s.p.hasher.Raw(rec.Raw) ^ s.salt) & rawMask
	if s.keyInBytes {
		if hash, same := s.index.SeeNext(raw); same {
			s.saw(hash)
			s.witness = hash
			return nil
		}
	}
	key, err := s.p.keyIn(s.key[:0], s.partition, rec)
	if err != nil {
		return s.skip(err)
	}
	s.key = key
	if s.watch != nil && s.watch.Record != nil {
		s.watch.Record(string(key), rec.Raw)
	}
	hash := s.p.hasher.Key(key)
	s.saw(hash)
	sighting, canon := s.index.See(hash, raw)
	if sighting == differ.Same {
		s.witness = hash
	}
	switch sighting {
	case differ.Same:
		s.stays(hash, s.p.known.edit(), rec.Raw)
		return nil
	case differ.Differs:
		if was, _, _ := s.index.Get(hash); was.Raw&rawMask == raw {
			s.witness = hash
			s.stays(hash, s.unread(was), rec.Raw)
			return s.reprint(hash, raw)
		}
		s.gauge.news(rec.Raw)
		if leaves, err := s.leaves(hash, true, raw, canon, rec.Raw); leaves || err != nil {
			return err
		}
		s.witness = hash
		if s.details != nil {
			return s.details.want(differ.Updated, hash, raw, rec)
		}
		return s.differs(hash, raw, canon, rec)
	case differ.Again:
		return s.again(hash, raw, canon, rec)
	case differ.Unknown:
		s.gauge.news(rec.Raw)
		if s.seam.knew(hash) {
			s.cameBack()
			return nil
		}
		if leaves, err := s.leaves(hash, false, raw, canon, rec.Raw); leaves || err != nil {
			return err
		}
		if s.details != nil {
			return s.details.want(differ.Created, hash, raw, rec)
		}
		print := differ.Print{Raw: raw, Canon: s.p.hasher.Canon(s.p.shape, rec.Raw)}
		return s.created(hash, print, rec)
	}
	return nil
}

// lastKey gives the key of the last record that had one, when each record's key is read.
func (s *scan) lastKey() string { return string(s.key) }

// saw notes the key of a record of the current page.
func (s *scan) saw(hash differ.Hash) {
	s.digest += mixed(hash)
	if s.page > 1 || s.seam != nil {
		s.hashes = append(s.hashes, hash)
	}
}

// cameBack counts a record of an earlier page. Where pages overlap, the end of the page tells whether it had to.
func (s *scan) cameBack() {
	if s.seam != nil {
		s.seam.again = append(s.seam.again, len(s.hashes)-1)
		return
	}
	s.repeated++
}

// mixed spreads a hash so that sums of sets of them differ.
func mixed(h differ.Hash) uint64 {
	var a, b uint64
	for i := range 8 {
		a = a<<8 | uint64(h[i])
		b = b<<8 | uint64(h[i+8])
	}
	return (a ^ b*0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
}

func (s *scan) differs(hash differ.Hash, raw, canon uint64, rec differ.Record) error {
	now := s.p.hasher.Canon(s.p.shape, rec.Raw)
	was, _, _ := s.index.Get(hash)
	if now == canon {
		s.counts.Ignored++
		if was.Raw > rawMask {
			return s.reprint(hash, raw)
		}
		s.touch(hash)
		s.index.SetRaw(hash, raw)
		return nil
	}
	edited := s.p.onlyEdited(was.Raw, raw)
	if !edited {
		s.counts.Updated++
	}
	return s.queue(differ.Updated, s.quiet || edited, edited, hash, differ.Print{Raw: raw, Canon: now}, rec)
}

// reprint changes nothing of a known record but the fingerprint of its bytes.
func (s *scan) reprint(hash differ.Hash, raw uint64) error {
	s.touch(hash)
	s.p.known.dirty = true
	s.index.SetRaw(hash, raw)
	print, missing, _ := s.index.Get(hash)
	return s.spool.add(&entry{known: Known{Hash: hash, Print: print, Missing: missing}})
}

// estrange keeps records that only a former identity knows, and that no poll deletes, from being taken for those of the same bytes.
func (s *scan) estrange() error {
	var strange []differ.Hash
	s.index.Unseen(func(h differ.Hash, _ differ.Print, _ int) bool {
		strange = append(strange, h)
		return true
	})
	for _, h := range strange {
		if err := s.reprint(h, 0); err != nil {
			return err
		}
	}
	return nil
}

// again is a key that came twice. Copies that are equal do no harm. On two pages the list was shifting while it was read,
// so the first copy counts and nothing can be said of what is missing. Different ones in one answer are two records.
func (s *scan) again(hash differ.Hash, raw, canon uint64, rec differ.Record) error {
	if s.page > 1 && !slices.Contains(s.hashes[:len(s.hashes)-1], hash) {
		s.cameBack()
		return nil
	}
	known, _, _ := s.index.Get(hash)
	if known.Raw == raw || s.details.known(hash, raw) || s.p.hasher.Canon(s.p.shape, rec.Raw) == canon {
		return nil
	}
	return newFault("two records share a key: use another key, or a list of paths that is unique together; nothing was changed",
		"key %s is not unique: %q appears twice on page %d with different content", s.p.keyNames(), s.key, s.page)
}

func (s *scan) skip(err error) error {
	reason, ok := errors.AsType[*differ.KeyError](err)
	if !ok {
		return err
	}
	s.counts.Skipped++
	if s.keyless == nil {
		s.keyless = &keyless{number: s.counts.Records, err: reason}
	}
	if s.watch != nil {
		s.watch.skipped(s.counts.Records, reason)
	}
	return nil
}

// skippedMessage gives "3 of 50 records have no key "id" (first: record 17, members: name, email)".
func (s *scan) skippedMessage() string {
	k := s.keyless
	return fmt.Sprintf("%d of %d records have no usable key %s (first: record %d, where %s is %s; members: %s)",
		s.counts.Skipped, s.counts.Records, s.p.keyNames(), k.number, k.err.Path, k.err.Problem, clip(strings.Join(k.err.Members, ", ")))
}

func (s *scan) created(hash differ.Hash, print differ.Print, rec differ.Record) error {
	if s.joins(hash, rec.Raw) {
		return s.queue(differ.Created, true, true, hash, print, rec)
	}
	s.counts.Created++
	return s.queue(differ.Created, s.quiet, false, hash, print, rec)
}

// last puts on the spool whatever is left of a listing that was read to its end.
func (s *scan) last() error {
	if err := s.details.resume(); err != nil {
		return err
	}
	return s.flush()
}

// flush compares the pending updates with their stored bodies and puts all that is pending on the spool, in order.
func (s *scan) flush() error {
	var err error
	if s.pending, err = s.details.fill(s.pending); err != nil {
		return err
	}
	deltas, err := s.compare()
	if err != nil {
		return err
	}
	for i := range s.pending {
		c := &s.pending[i]
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
	s.pending, s.waiting = s.pending[:0], 0
	return nil
}

// lostBody should not happen: the index is read anew, and if the store really lost the body, the message says so each time.
func (s *scan) lostBody(c *pending) error {
	s.p.forget()
	return newFault("run deltahook again; if this stays, the store is damaged", "the store has no body of the known record %q", c.key)
}

// survey finds what a complete listing lacked, and splits it into what was missed often enough to be gone, which it gives,
// and what was not.
// Nothing is known of those to leave out.
func (s *scan) survey(often int, out map[differ.Hash]bool) (gone []differ.Hash) {
	s.index.Unseen(func(h differ.Hash, p differ.Print, missing int) bool {
		if out[h] {
			return true
		}
		if missing+1 >= often {
			gone = append(gone, h)
		} else {
			s.absent = append(s.absent, Known{Hash: h, Print: p, Missing: missing + 1})
		}
		return true
	})
	return gone
}

// settle puts what was found after the walk on the spool: records that came back, are missing, are gone, are not followed.
func (s *scan) settle() error {
	var back []Known
	s.index.Returned(func(h differ.Hash, p differ.Print, _ int) bool {
		back = append(back, Known{Hash: h, Print: p})
		return true
	})
	for _, k := range slices.Concat(back, s.absent, s.recounted) {
		s.p.known.dirty = true
		s.index.SetMissing(k.Hash, k.Missing)
		if err := s.spool.add(&entry{known: k}); err != nil {
			return err
		}
	}
	if err := s.remove(s.deleted, s.quiet); err != nil {
		return err
	}
	return s.remove(s.unannounced(), true)
}

func (s *scan) remove(hashes []differ.Hash, quiet bool) error {
	const batch = 256
	for start := 0; start < len(hashes); start += batch {
		part := hashes[start:min(start+batch, len(hashes))]
		s.p.known.dirty = true
		found := 0
		err := s.p.opts.Ledger.Bodies(s.ctx, s.p.source.Name, part, func(h differ.Hash, key string, body []byte) error {
			found++
			print, _, _ := s.index.Get(h)
			return s.spool.add(&entry{kind: differ.Deleted, quiet: quiet, known: Known{Hash: h, Print: print}, key: []byte(key), body: body})
		})
		if err != nil {
			return s.p.storeFault("deleted records cannot be read", err)
		}
		if found != len(part) {
			s.p.forget()
			return newFault("run deltahook again; if this stays, the store is damaged", "the store lacks bodies of known records")
		}
		for _, h := range part {
			s.index.Remove(h)
		}
	}
	return nil
}
