package emitter

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// Batch is how events are sent together, the table batch.
type Batch struct {
	MaxEvents int              `toml:"max_events"` // of one request; 0: each event is a request, unless the format wants batches
	MaxBytes  setting.Size     `toml:"max_bytes"`  // of one request; a larger event goes alone
	Linger    setting.Duration `toml:"linger"`     // how long an event waits for others
	OnReject  string           `toml:"on_reject"`  // "bisect"
}

// DefaultBatch has the value of each key that is not written.
func DefaultBatch() Batch {
	return Batch{MaxBytes: 1 << 20, Linger: setting.Duration(defaultLinger), OnReject: "bisect"}
}

// defaultLinger is how long an event waits for others.
const defaultLinger = 200 * time.Millisecond

// defaultEvents is the size of a batch for a format that wants them.
const defaultEvents = 100

// batchEvents gives how many events may go out in one request; 0: they are not sent in batches.
func (w *Webhook) batchEvents() int {
	if w.Batch.MaxEvents == 0 && w.Format == formatBatch {
		return defaultEvents
	}
	return w.Batch.MaxEvents
}

// batchType is the type of a batch, where one is asked for.
const batchType = "batch"

// headerBatch says how many events a batch has.
const headerBatch = "deltahook-batch"

// BatchID gives the id of a batch: a hash of the ids of its events, in order.
func BatchID(ids []string) string {
	parts := make([][]byte, len(ids))
	for i, id := range ids {
		parts[i] = []byte(id)
	}
	sum := digest(parts)
	return "bat_" + string(encodeID([16]byte(sum[:16])))
}

// BatchSize gives how large the body of a batch is with one more event; size is that without it, 0 at first.
func BatchSize(size int, body []byte) int {
	if size == 0 {
		size = len("[")
	}
	return size + len(body) + len(",") // the last comma is the bracket
}

// batchBody makes the JSON array of the bodies.
func batchBody(list []Delivery) []byte {
	size := 0
	for i := range list {
		size = BatchSize(size, list[i].Body)
	}
	body := make([]byte, 0, size)
	for i := range list {
		body = append(body, "[,"[min(i, 1)])
		body = append(body, list[i].Body...)
	}
	return append(body, ']')
}

// batchOf makes the delivery that stands for a batch. A body that cannot be sent makes the whole unsendable, for this reason.
func batchOf(list []Delivery) Delivery {
	d := list[0]
	d.ID, d.Type, d.Key, d.Sequence, d.Events = d.Batch, batchType, "", 0, len(list)
	for i := range list {
		if unsendableReason(list[i].Body) != "" {
			d.Body = list[i].Body
			return d
		}
	}
	d.Body = batchBody(list)
	return d
}

// Alone gives what is sent of one event by itself: for a webhook that gets batches, a batch of one.
func (w *Webhook) Alone(d Delivery) Delivery {
	if w.batchEvents() == 0 {
		return d
	}
	d.Batch = BatchID([]string{d.ID})
	return batchOf([]Delivery{d})
}

// setBatchHeaders says that the body is a batch.
func setBatchHeaders(h http.Header, d *Delivery) {
	setExact(h, headerBatch, strconv.Itoa(d.Events))
}

func (w *Webhook) validateBatch(p *setting.Problems) {
	var part setting.Problems
	b := &w.Batch
	oneOf(&part, "on_reject", b.OnReject, "bisect")
	switch {
	case b.MaxEvents < 0:
		part.Add("write max_events = 100, or remove it", fmt.Sprintf("max_events = %d is negative", b.MaxEvents), "max_events")
	case b.MaxEvents > 0:
		w.validateBatchFormat(&part)
	}
	if given := DefaultBatch(); w.batchEvents() == 0 && *b != given && b.MaxBytes > 0 && b.Linger >= 0 {
		part.Warn("write max_events = 100, or remove the table", "without max_events each event is a request of its own, and the other keys do not count")
	}
	if b.MaxBytes < 1 {
		part.Add(`write max_bytes = "1MiB"`, "max_bytes leaves no room for an event", "max_bytes")
	}
	if b.Linger < 0 {
		part.Add(`write linger = "200ms"`, "linger is negative", "linger")
	}
	p.Under("batch", part)
}

// validateBatchFormat reports formats that are no elements of a JSON array, or say what they are in headers.
func (w *Webhook) validateBatchFormat(p *setting.Problems) {
	switch {
	case w.Format == formatStructured || w.Format == formatBinary:
		p.Add(`write format = "cloudevents-batch"`, fmt.Sprintf("the format %q has one event in a request", w.Format), "max_events")
	case w.Format == formatRecord:
		p.Add(`write format = "standard"`, `a record of the format "record" does not say what happened to it: that stands in headers, of which a batch has one set`, "max_events")
	case w.Format == formatTemplate && !w.isJSON():
		p.Add(`write content_type = "application/json"`, "a batch is a JSON array, and what the template makes is not JSON", "max_events")
	}
}
