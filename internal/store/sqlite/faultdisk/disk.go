// Package faultdisk puts a disk that fails between SQLite and the files of a folder, for tests: writes that are refused or torn,
// a file system that is full or read-only, a process that dies at any operation, a power cut that loses what was not synced.
package faultdisk

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
)

// Kind is what SQLite asks of a file.
type Kind string

// The kinds of operations.
const (
	Open     Kind = "open"
	Read     Kind = "read"
	Write    Kind = "write"
	Truncate Kind = "truncate"
	Sync     Kind = "sync"
	Delete   Kind = "delete"
)

// Changes says whether the operation leaves something behind.
func (k Kind) Changes() bool { return k == Write || k == Truncate || k == Delete }

// Op is one operation on one file.
type Op struct {
	Kind   Kind
	File   string // without its folder
	Offset int64  // of a Write; the new length for Truncate
	Data   []byte // of a Write, valid during the call
	Create bool   // of an Open
}

// Fault is what becomes of an operation.
type Fault int

// The faults.
const (
	None     Fault = iota
	Full           // no space is left
	Broken         // an I/O error
	ReadOnly       // the file system is mounted read-only
	Torn           // a Write: its beginning arrives, and then an I/O error
)

// Disk is a folder whose files SQLite reads and writes with faults. It is safe for concurrent use.
type Disk struct {
	dir string

	mu     sync.Mutex
	fault  func(Op) Fault
	frozen bool
	files  map[string]*durable
	record *Recording
}

// New puts a disk under the files of a folder from now on, until it is closed.
func New(dir string) (*Disk, error) {
	if err := install(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &Disk{dir: dir, files: map[string]*durable{}}
	disks.Store(dir, d)
	return d, nil
}

// Close takes the disk away: files that are open keep it.
func (d *Disk) Close() { disks.Delete(d.dir) }

// Fail asks f before each operation; nil: nothing fails. It must not use SQLite on this disk.
func (d *Disk) Fail(f func(Op) Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// Freeze lets every operation fail from now on, without any effect: whoever has files open is dead.
func (d *Disk) Freeze() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = true
}

// Thaw ends Freeze, for those who open the files next.
func (d *Disk) Thaw() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = false
}

// judge says what becomes of an operation.
func (d *Disk) judge(op Op) Fault {
	d.mu.Lock()
	fault, frozen := d.fault, d.frozen
	d.mu.Unlock()
	if frozen {
		return Broken
	}
	verdict := None
	if fault != nil {
		verdict = fault(op) // may freeze the disk
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.frozen && verdict == None {
		return Broken
	}
	return verdict
}

// durable is what is known of a file: what a power cut leaves of it for certain, and what was done since.
type durable struct {
	exists bool
	synced []byte
	since  []change
}

// change is an operation that was not synced yet.
type change struct {
	data []byte // of a write
	at   int64  // where, or the new length
	cut  bool   // it is a truncation
}

// done notes an operation that had its effect.
func (d *Disk) done(op Op) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.record != nil {
		d.record.add(op)
	}
	d.file(op.File).do(op)
}

// file gives what is known of a file. One that was there before is as it was read.
func (d *Disk) file(name string) *durable {
	f := d.files[name]
	if f == nil {
		f = &durable{}
		if text, err := os.ReadFile(filepath.Join(d.dir, name)); err == nil {
			f.exists, f.synced = true, text
		}
		d.files[name] = f
	}
	return f
}

func (f *durable) do(op Op) {
	switch op.Kind {
	case Open:
		f.exists = true
	case Write:
		f.since = append(f.since, change{data: append([]byte(nil), op.Data...), at: op.Offset})
	case Truncate:
		f.since = append(f.since, change{at: op.Offset, cut: true})
	case Sync:
		for _, c := range f.since {
			f.synced = c.apply(f.synced, len(c.data))
		}
		f.since = nil
	case Delete: // SQLite syncs the folder where it matters
		*f = durable{}
	case Read:
	}
}

// apply does the change, or the first part of it, to a content.
func (c *change) apply(content []byte, part int) []byte {
	if c.cut {
		return resized(content, c.at)
	}
	if end := c.at + int64(part); end > int64(len(content)) {
		content = resized(content, end)
	}
	copy(content[c.at:], c.data[:part])
	return content
}

func resized(content []byte, size int64) []byte {
	if size <= int64(len(content)) {
		return content[:size]
	}
	return append(content, make([]byte, size-int64(len(content)))...)
}

// Fate is what a power cut does to a change that was not synced.
type Fate int

// The fates.
const (
	Lost Fate = iota
	Kept
	Half // of a write some sectors are kept
)

const sector = 512

// survivor gives a file after a power cut.
func (f *durable) survivor(fate func() Fate, chance *rand.Rand) []byte {
	content := append([]byte(nil), f.synced...)
	for i := range f.since {
		c := &f.since[i]
		switch fate() {
		case Lost:
		case Kept:
			content = c.apply(content, len(c.data))
		case Half:
			content = c.apply(content, min(sector*chance.IntN(len(c.data)/sector+1), len(c.data)))
		}
	}
	return content
}

// PowerCut freezes the disk and makes its files what they are when the power comes back: what was synced is there, of the rest
// each change has its fate. The files must be closed, and the disk be thawed, before they are opened again.
func (d *Disk) PowerCut(fate func() Fate, chance *rand.Rand) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = true
	for name, f := range d.files {
		path := filepath.Join(d.dir, name)
		if !f.exists {
			continue
		}
		f.synced, f.since = f.survivor(fate, chance), nil
		if err := os.WriteFile(path, f.synced, 0o600); err != nil {
			return fmt.Errorf("after the power cut: %w", err)
		}
	}
	return nil
}
