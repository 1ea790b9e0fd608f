package poller

import (
	"bytes"
	"unicode/utf8"

	"github.com/deltahook/deltahook/differ"
)

// pending is a created or updated record.
type pending struct {
	kind   differ.Kind
	quiet  bool    // no event tells of it
	edited bool    // it is not counted, because only the configuration was changed
	unread *former // it was not read since what counts of it was edited; nil: it was
	key    []byte
	body   []byte
	Known
}

// queue takes a change on, to be written once the listing has proved itself.
func (s *scan) queue(kind differ.Kind, quiet, edited bool, hash differ.Hash, print differ.Print, rec differ.Record) error {
	if s.garbled == "" && !utf8.Valid(rec.Raw) {
		s.garbled = string(s.key)
	}
	s.touch(hash)
	was, _, _ := s.index.Get(hash)
	s.index.Set(hash, print)
	s.p.known.dirty = true
	if !quiet {
		s.gauge.delay(rec.Raw)
	}
	s.pending = append(s.pending, pending{
		kind: kind, quiet: quiet, edited: edited, unread: s.unread(was), key: bytes.Clone(s.key), body: bytes.Clone(rec.Raw),
		Known: Known{Hash: hash, Print: print},
	})
	s.waiting += len(rec.Raw)
	if len(s.pending) >= mostRecords || s.waiting >= mostBytes {
		return s.flush()
	}
	return nil
}

// Bounds of what is pending.
const (
	mostRecords = 256
	mostBytes   = 1 << 20
)
