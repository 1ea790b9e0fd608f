package poller

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/deltahook/deltahook/differ"
)

// entry is one change of a poll on its way to the store.
type entry struct {
	kind  differ.Kind // zero: only what is known of the record changes, not the record
	quiet bool        // no event tells of it
	known Known
	key   []byte
	body  []byte // the whole record; nil leaves what is stored
	delta differ.Delta
}

// spool keeps the changes of a poll until it is known whether they are applied: in memory as long as they are few, then in
// a file that has no name any more, so that nothing is left behind after a crash.
type spool struct {
	dir    string
	limit  int // bytes in memory
	memory bytes.Buffer
	file   *os.File
	out    *bufio.Writer
	count  int
	events int
	untold bool  // a record that is known changes, or is known no more, and no event tells of it
	size   int64 // bytes
	frame  []byte
}

const spoolMemory = 8 << 20

func newSpool(dir string) *spool { return &spool{dir: dir, limit: spoolMemory} }

// add appends a change. It copies what it is given.
func (s *spool) add(e *entry) error {
	s.frame = appendEntry(s.frame[:0], e)
	s.count++
	if !e.quiet && e.kind != 0 {
		s.events++
	}
	s.untold = s.untold || e.quiet && (e.kind == differ.Deleted || len(e.delta.Changed) > 0)
	if s.file == nil && s.memory.Len()+len(s.frame) > s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	var size [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(size[:], uint64(len(s.frame)))
	w := io.Writer(&s.memory)
	if s.file != nil {
		w = s.out
	}
	if _, err := w.Write(size[:n]); err != nil {
		return fmt.Errorf("temporary file: %w", err)
	}
	if _, err := w.Write(s.frame); err != nil {
		return fmt.Errorf("temporary file: %w", err)
	}
	s.size += int64(n + len(s.frame))
	return nil
}

func (s *spool) spill() error {
	f, err := os.CreateTemp(s.dir, "deltahook-poll-*")
	if err != nil {
		return fmt.Errorf("temporary file: %w", err)
	}
	// On systems that cannot remove an open file, close does.
	_ = os.Remove(f.Name())
	s.file, s.out = f, bufio.NewWriterSize(f, 256<<10)
	if _, err := s.memory.WriteTo(s.out); err != nil {
		return fmt.Errorf("temporary file: %w", err)
	}
	s.memory = bytes.Buffer{}
	return nil
}

// each calls f for each change in order. The entry is its own copy.
func (s *spool) each(f func(*entry) error) error {
	var r interface {
		io.Reader
		io.ByteReader
	} = bytes.NewReader(s.memory.Bytes())
	if s.file != nil {
		if err := s.out.Flush(); err != nil {
			return fmt.Errorf("temporary file: %w", err)
		}
		if _, err := s.file.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("temporary file: %w", err)
		}
		r = bufio.NewReaderSize(s.file, 256<<10)
	}
	for {
		size, err := binary.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("temporary file: %w", err)
		}
		frame := make([]byte, size)
		if _, err := io.ReadFull(r, frame); err != nil {
			return fmt.Errorf("temporary file: %w", err)
		}
		if err := f(readEntry(frame)); err != nil {
			return err
		}
	}
}

// close gives memory and disk space back.
func (s *spool) close() {
	s.memory = bytes.Buffer{}
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
		s.file = nil
	}
}

const (
	flagQuiet = 1 << iota
	flagBody
)

func appendEntry(dst []byte, e *entry) []byte {
	flags := byte(0)
	if e.quiet {
		flags |= flagQuiet
	}
	if e.body != nil {
		flags |= flagBody
	}
	dst = append(dst, byte(e.kind), flags, byte(e.known.Missing)) //nolint:gosec // at most deletes.confirm, which is at most 100
	dst = append(dst, e.known.Hash[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, e.known.Print.Raw)
	dst = binary.LittleEndian.AppendUint64(dst, e.known.Print.Canon)
	for _, part := range [][]byte{e.key, e.body, e.delta.Previous} {
		dst = binary.AppendUvarint(dst, uint64(len(part)))
		dst = append(dst, part...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.delta.Changed)))
	for _, path := range e.delta.Changed {
		dst = binary.AppendUvarint(dst, uint64(len(path)))
		dst = append(dst, path...)
	}
	return dst
}

// readEntry undoes appendEntry; the entry keeps frame.
func readEntry(frame []byte) *entry {
	e := &entry{kind: differ.Kind(frame[0]), quiet: frame[1]&flagQuiet != 0}
	hasBody := frame[1]&flagBody != 0
	e.known.Missing = int(frame[2])
	rest := frame[3:]
	rest = rest[copy(e.known.Hash[:], rest):]
	e.known.Print.Raw = binary.LittleEndian.Uint64(rest)
	e.known.Print.Canon = binary.LittleEndian.Uint64(rest[8:])
	rest = rest[16:]
	next := func() []byte {
		n, width := binary.Uvarint(rest)
		part := rest[width : width+int(n) : width+int(n)] //nolint:gosec // a length that appendEntry wrote
		rest = rest[width+int(n):]                        //nolint:gosec // as above
		return part
	}
	e.key, e.body, e.delta.Previous = next(), next(), next()
	if !hasBody {
		e.body = nil
	}
	if len(e.delta.Previous) == 0 {
		e.delta.Previous = nil
	}
	n, width := binary.Uvarint(rest)
	rest = rest[width:]
	for range n {
		e.delta.Changed = append(e.delta.Changed, string(next()))
	}
	return e
}
