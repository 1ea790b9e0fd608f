package faultdisk

import (
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Recording is all that was done to the files of a disk, in order. It is complete when the disk was empty at its start.
type Recording struct{ ops []Op }

// Record begins a recording.
func (d *Disk) Record() *Recording {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.record = &Recording{}
	return d.record
}

func (r *Recording) add(op Op) {
	op.Data = append([]byte(nil), op.Data...)
	r.ops = append(r.ops, op)
}

// Len gives the number of operations so far.
func (r *Recording) Len() int { return len(r.ops) }

// At gives one of them.
func (r *Recording) At(i int) Op { return r.ops[i] }

// Replay calls at for each prefix of the recording, with the files as they were then.
func (r *Recording) Replay(at func(n int, state *State) error) error {
	s := &State{files: map[string]*durable{}}
	for i, op := range r.ops {
		f := s.files[op.File]
		if f == nil {
			f = &durable{}
			s.files[op.File] = f
		}
		f.do(op)
		if err := at(i+1, s); err != nil {
			return err
		}
	}
	return nil
}

// State is what files are at one moment of a recording.
type State struct{ files map[string]*durable }

// Unsynced says how many changes a power cut at this moment would put at risk.
func (s *State) Unsynced() int {
	n := 0
	for _, f := range s.files {
		n += len(f.since)
	}
	return n
}

// WriteTo writes the files that a power cut at this moment leaves into a folder.
func (s *State) WriteTo(dir string, fate func() Fate, chance *rand.Rand) error {
	for name, f := range s.files {
		if !f.exists {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), f.survivor(fate, chance), 0o600); err != nil {
			return err
		}
	}
	return nil
}
