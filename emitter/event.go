package emitter

import (
	"strconv"
	"time"

	"github.com/deltahook/deltahook/differ"
)

// Event is a change on its way to becoming a webhook.
type Event struct {
	Source   string
	Type     string // of the source; the event's own type has the change behind it, see EventType
	Sequence int64  // in the source, from 1
	At       time.Time
	Change   differ.Change

	notice string // the event's type, when it is not about a record, see Notice
}

// Own is the source of the events of deltahook itself, and what their types begin with.
const Own = "deltahook"

// Notice makes an event that is not about a record: of deltahook's own health, or a ping. Its data is a JSON object, and stands
// where that of a change stands. It has no source, key and sequence unless they are set.
func Notice(eventType string, at time.Time, data []byte) *Event {
	return &Event{At: at, notice: eventType, Change: differ.Change{Record: data}}
}

// EventType gives the type of an event: "contacts.updated".
func EventType(source string, kind differ.Kind) string { return source + "." + kind.String() }

// EventType gives the type of this event: "contacts.updated".
func (e *Event) EventType() string {
	if e.notice != "" {
		return e.notice
	}
	return EventType(e.Type, e.Change.Kind)
}

// change gives the word for what happened to the record.
func (e *Event) change() string {
	if e.notice != "" {
		return ""
	}
	return e.Change.Kind.String()
}

// ID gives the webhook-id. The same event of the same store always has the same one, and seed keeps ids of different
// stores apart.
func (e *Event) ID(seed differ.Seed) string {
	return NewID(e.At, seed[:], []byte(e.Source), strconv.AppendInt(nil, e.Sequence, 10), []byte(e.Change.Key),
		[]byte(e.Change.Kind.String()), e.Change.Record)
}

// EncodeStandard appends the body of the format "standard". The bytes depend on the event alone. Record and the values in
// previous are spliced in as they are: they are not decoded, and so not changed; a caller vouches that they are JSON. A
// record that is not known is null.
func EncodeStandard(dst []byte, e *Event) []byte {
	dst = append(dst, `{"type":`...)
	dst = appendString(dst, e.EventType())
	dst = append(dst, `,"timestamp":"`...)
	dst = e.At.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	dst = append(dst, `","data":`...)
	return append(appendData(dst, e), '}')
}

// appendData appends the member data.
func appendData(dst []byte, e *Event) []byte {
	if e.notice != "" {
		return appendRaw(dst, e.Change.Record, "{}")
	}
	dst = append(dst, `{"source":`...)
	dst = appendString(dst, e.Source)
	dst = append(dst, `,"change":`...)
	dst = appendString(dst, e.Change.Kind.String())
	dst = append(dst, `,"key":`...)
	dst = appendString(dst, e.Change.Key)
	dst = append(dst, `,"sequence":`...)
	dst = strconv.AppendInt(dst, e.Sequence, 10)
	dst = append(dst, `,"record":`...)
	dst = appendRaw(dst, e.Change.Record, "null")
	if e.Change.Kind == differ.Updated {
		dst = appendDelta(dst, e.Change.Delta)
	}
	return append(dst, '}')
}

func appendDelta(dst []byte, d differ.Delta) []byte {
	dst = append(dst, `,"previous":`...)
	dst = appendRaw(dst, d.Previous, "{}")
	dst = append(dst, `,"changed":[`...)
	for i, path := range d.Changed {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, path)
	}
	return append(dst, ']')
}

func appendRaw(dst, raw []byte, missing string) []byte {
	if len(raw) == 0 {
		return append(dst, missing...)
	}
	return append(dst, raw...)
}
