// Package hooktest is a receiver of webhooks that checks what it gets: it verifies signatures, keeps a replica of each source,
// notices events that come twice, in the wrong order or not at all, and misbehaves on request. Tests and the demo use it.
package hooktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
)

// Event is what a replica reads of a body.
type Event struct {
	ID       string
	Type     string
	Source   string
	Change   string // created, updated, deleted, snapshot
	Key      string
	Sequence int64
	Record   json.RawMessage // byte for byte
	Previous json.RawMessage // nil when absent
	Changed  []string
}

// Report counts what a replica has seen.
type Report struct {
	Events     int            // different ones
	ByChange   map[string]int // of those
	Duplicates int            // further deliveries of an event, under the same id and with the same bytes
	Batches    int            // different ones
	Inversions int            // events whose first delivery came after a later event of the same record
}

// Replica applies events, each record's in order of sequence, and so holds what upstream holds. The zero value is empty and
// ready; it is safe for concurrent use.
type Replica struct {
	mu      sync.Mutex
	bodies  map[string][]byte // by id
	sources map[string]*source
	report  Report
}

type source struct {
	records map[string]record
	seen    map[int64]string // id by sequence
	last    int64
}

type record struct {
	sequence int64
	body     json.RawMessage // nil: deleted
}

// ParseEvent reads a body of the format "standard".
func ParseEvent(id string, body []byte) (Event, error) {
	var wire struct {
		Type string `json:"type"`
		Data struct {
			Source   string          `json:"source"`
			Change   string          `json:"change"`
			Key      string          `json:"key"`
			Sequence int64           `json:"sequence"`
			Record   json.RawMessage `json:"record"`
			Previous json.RawMessage `json:"previous"`
			Changed  []string        `json:"changed"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return Event{}, fmt.Errorf("the body is not an event: %w", err)
	}
	d := wire.Data
	if wire.Type == "" || d.Source == "" || d.Sequence < 1 {
		return Event{}, fmt.Errorf("the body is not an event: type %q, source %q, sequence %d", wire.Type, d.Source, d.Sequence)
	}
	return Event{
		ID: id, Type: wire.Type, Source: d.Source, Change: d.Change, Key: d.Key, Sequence: d.Sequence,
		Record: d.Record, Previous: d.Previous, Changed: d.Changed,
	}, nil
}

// place names an event that comes without its id, as the elements of a batch do.
func (e *Event) place() string { return fmt.Sprintf("%s#%d", e.Source, e.Sequence) }

// Apply takes one delivery; fresh is false for a duplicate. It fails on what must never happen: one id with two bodies, one
// sequence with two ids, a body that is not an event.
func (r *Replica) Apply(id string, body []byte) (e Event, fresh bool, err error) {
	e, err = ParseEvent(id, body)
	if err != nil {
		return e, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.init()
	if known, ok := r.bodies[id]; ok {
		if !bytes.Equal(known, body) {
			return e, false, fmt.Errorf("the id %s came with two different bodies", id)
		}
		r.report.Duplicates++
		return e, false, nil
	}
	s := r.source(e.Source)
	if other, ok := s.seen[e.Sequence]; ok {
		if (other == e.place() || id == e.place()) && bytes.Equal(r.bodies[other], body) { // once alone and once in a batch
			r.report.Duplicates++
			return e, false, nil
		}
		return e, false, fmt.Errorf("sequence %d of %s came under the ids %s and %s", e.Sequence, e.Source, other, id)
	}
	r.bodies[id] = bytes.Clone(body)
	s.seen[e.Sequence] = id
	s.last = max(s.last, e.Sequence)
	r.report.Events++
	r.report.ByChange[e.Change]++
	if !s.apply(e) {
		r.report.Inversions++
	}
	return e, true, nil
}

// ApplyBatch takes one delivery of a batch: it applies its events in order. An event without an id of its own, in the format
// "standard", is known by its source and sequence.
func (r *Replica) ApplyBatch(id string, body []byte, applied func(e Event, fresh bool)) error {
	var events []json.RawMessage
	if err := json.Unmarshal(body, &events); err != nil {
		return fmt.Errorf("the body is not a batch: %w", err)
	}
	if err := r.enterBatch(id, body); err != nil {
		return err
	}
	for _, event := range events {
		name := struct {
			ID string `json:"id"`
		}{}
		if err := json.Unmarshal(event, &name); err != nil {
			return fmt.Errorf("an element of the batch %s is no event: %w", id, err)
		}
		if name.ID == "" {
			e, err := ParseEvent("", event)
			if err != nil {
				return err
			}
			name.ID = e.place()
		}
		e, fresh, err := r.Apply(name.ID, event)
		if err != nil {
			return err
		}
		applied(e, fresh)
	}
	return nil
}

func (r *Replica) enterBatch(id string, body []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.init()
	known, ok := r.bodies[id]
	switch {
	case ok && !bytes.Equal(known, body):
		return fmt.Errorf("the id %s came with two different bodies", id)
	case !ok:
		r.report.Batches++
		r.bodies[id] = bytes.Clone(body)
	}
	return nil
}

func (r *Replica) init() {
	if r.bodies == nil {
		r.bodies, r.sources = map[string][]byte{}, map[string]*source{}
		r.report.ByChange = map[string]int{}
	}
}

func (r *Replica) source(name string) *source {
	s := r.sources[name]
	if s == nil {
		s = &source{records: map[string]record{}, seen: map[int64]string{}}
		r.sources[name] = s
	}
	return s
}

// apply says whether the event is the latest of its record; an earlier one changes nothing.
func (s *source) apply(e Event) bool {
	if s.records[e.Key].sequence > e.Sequence {
		return false
	}
	kept := record{sequence: e.Sequence}
	if e.Change != "deleted" {
		kept.body = bytes.Clone(e.Record)
	}
	s.records[e.Key] = kept
	return true
}

// Records gives what the replica holds of a source: bodies by key.
func (r *Replica) Records(source string) map[string]json.RawMessage {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]json.RawMessage{}
	if s := r.sources[source]; s != nil {
		for key, rec := range s.records {
			if rec.body != nil {
				all[key] = rec.body
			}
		}
	}
	return all
}

// Missing gives the sequences of a source below the highest one seen that have not come.
func (r *Replica) Missing(source string) []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sources[source]
	if s == nil {
		return nil
	}
	var gaps []int64
	for n := int64(1); n < s.last; n++ {
		if _, ok := s.seen[n]; !ok {
			gaps = append(gaps, n)
		}
	}
	return gaps
}

// Report gives the counts so far.
func (r *Replica) Report() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.report
	report.ByChange = maps.Clone(r.report.ByChange)
	return report
}
