package postgres

import (
	"fmt"
	"math"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store/stored"
	"github.com/deltahook/deltahook/poller"
)

// What one statement of a commit writes at most. A poll that found more is several statements in one transaction.
const (
	chunkWrites = 1000
	chunkBytes  = 4 << 20
)

// What an event and a delivery take up beside their bodies, indexes included, as the retention by size counts it.
const (
	eventOverhead    = 300
	deliveryOverhead = 250
)

// chunk is what one statement of a commit writes, as arrays.
type chunk struct {
	writes, bytes int
	places        map[differ.Hash]int // in records
	records       []record
	events        events
	deliveries    deliveries
	merges        merges
}

// record is the last word of a chunk on one record.
type record struct {
	hash    differ.Hash
	gone    bool
	anew    bool // it was removed before: nothing of it is kept
	prints  []byte
	missing int32
	key     string
	body    []byte // packed; nil keeps what is stored
}

type events struct {
	list     []*poller.Event
	ids      []string
	sequence []int64
	types    []string
	changes  []int16
	keys     [][]byte
	times    []pgtype.Timestamptz
	bodies   [][]byte
	sizes    []int64
}

// deliveries belong to the events by their ordinal, which counts from 1.
type deliveries struct {
	ordinals []int32
	webhooks []int32
	loose    []int64
	states   []int16
	intoOrd  []*int32 // merged into an event of this chunk
	intoSeq  []*int64 // or into one that was there
	reasons  []string
	copies   [][]byte // nil: the body of the event
}

func (c *chunk) full() bool { return c.writes >= chunkWrites || c.bytes >= chunkBytes }

// add takes a record in.
func (c *chunk) add(codec *stored.Codec, w *poller.Write) {
	c.writes++
	if w.Untouched {
		return
	}
	r := record{hash: w.Hash, gone: w.Remove, key: w.Key, missing: int32(min(w.Missing, math.MaxInt32))} //nolint:gosec // bounded
	if !w.Remove {
		r.prints, r.body = stored.AppendPrint(nil, w.Print), codec.Pack(nil, w.Body)
	}
	c.bytes += len(r.body) + len(r.key)
	place, again := c.places[w.Hash]
	if !again {
		if c.places == nil {
			c.places = map[differ.Hash]int{}
		}
		c.places[w.Hash] = len(c.records)
		c.records = append(c.records, r)
		return
	}
	old := &c.records[place]
	r.anew = old.gone || old.anew
	if r.body == nil && !r.gone && !old.gone {
		r.body = old.body
	}
	*old = r
}

// event takes an event in and gives its ordinal.
func (c *chunk) event(e *poller.Event) int32 {
	x := &c.events
	size := int64(eventOverhead + len(e.Body) + len(e.To)*deliveryOverhead)
	for i := range e.To {
		size += int64(len(e.To[i].Body))
	}
	x.list = append(x.list, e)
	x.ids = append(x.ids, e.ID)
	x.sequence = append(x.sequence, e.Sequence)
	x.types = append(x.types, clean(e.Type))
	x.changes = append(x.changes, int16(e.Change))
	x.keys = append(x.keys, []byte(e.Key))
	x.times = append(x.times, at(e.At))
	x.bodies = append(x.bodies, notNil(e.Body))
	x.sizes = append(x.sizes, size)
	c.bytes += int(size)
	return int32(len(x.ids)) //nolint:gosec // bounded by chunkWrites
}

// delivery takes a pending delivery in and gives its place.
func (d *deliveries) add(ordinal, webhook int32, loose int64, copied []byte) int {
	d.ordinals = append(d.ordinals, ordinal)
	d.webhooks = append(d.webhooks, webhook)
	d.loose = append(d.loose, loose)
	d.states = append(d.states, statePending)
	d.intoOrd = append(d.intoOrd, nil)
	d.intoSeq = append(d.intoSeq, nil)
	d.reasons = append(d.reasons, "")
	d.copies = append(d.copies, copied)
	return len(d.ordinals) - 1
}

// follows checks that an event is the next one of the source. A gap in the sequence is refused, because no receiver could
// ever close it.
func follows(e *poller.Event, source string, last *int64) error {
	switch {
	case e.Source != source || e.ID == "":
		return harmlessError{fmt.Errorf("event %q of source %q: refused", e.ID, e.Source)}
	case last != nil && e.Sequence != *last+1:
		return harmlessError{fmt.Errorf("event %s has sequence %d after %d: refused", e.ID, e.Sequence, *last)}
	}
	return nil
}

// clean makes a text one that the database takes.
func clean(text string) string { return stored.Clean(text) }

// notNil makes an empty body one that the database takes for empty, not for missing.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
