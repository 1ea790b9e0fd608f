package emitter

import (
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"

	"github.com/deltahook/deltahook/internal/setting"
)

// The values of the key format.
const (
	formatStandard   = "standard"
	formatStructured = "cloudevents"
	formatBinary     = "cloudevents-binary"
	formatBatch      = "cloudevents-batch"
	formatRecord     = "record"
	formatTemplate   = "template"
)

// Headers that tell of an event whose body does not.
const (
	headerEvent    = "deltahook-event"
	headerSequence = "deltahook-sequence"
)

const typeJSON = "application/json"

// format is one value of the key format: what the body of a webhook looks like, and the headers that belong to it.
type format struct {
	contentType string
	encode      func(w *Webhook, dst []byte, id string, e *Event) []byte // nil: the body of the format "standard"
	headers     func(h http.Header, d *Delivery)                         // nil: none
}

// formats has the values of the key format by their name.
func formats() map[string]format {
	return map[string]format{
		formatStandard:   {contentType: typeJSON},
		formatStructured: {contentType: "application/cloudevents+json; charset=utf-8", encode: encodeStructured},
		formatBinary:     {contentType: typeJSON, encode: encodeData, headers: setEventHeaders},
		formatBatch:      {contentType: "application/cloudevents-batch+json; charset=utf-8", encode: encodeStructured},
		formatRecord:     {contentType: typeJSON, encode: encodeRecord, headers: setRecordHeaders},
		formatTemplate:   {contentType: typeJSON, encode: encodeTemplate},
	}
}

// Encode gives the body of the event with this id as this webhook gets it, or nil when that is the body of the format
// "standard". The bytes depend on the webhook's configuration, id and event alone.
func (w *Webhook) Encode(id string, e *Event) []byte {
	if f := formats()[w.Format]; f.encode != nil {
		return f.encode(w, nil, id, e)
	}
	return nil
}

// contentType is that of the body.
func (w *Webhook) contentType() string {
	if w.Format == formatTemplate && w.ContentType != "" {
		return w.ContentType
	}
	return formats()[w.Format].contentType
}

// encodeRecord makes the record alone; that of a deleted one is the last that was known.
func encodeRecord(_ *Webhook, dst []byte, _ string, e *Event) []byte {
	return appendRaw(dst, e.Change.Record, "null")
}

// setRecordHeaders says what happened to the record.
func setRecordHeaders(h http.Header, d *Delivery) {
	setExact(h, headerEvent, headerText(d.Type))
	if d.Sequence > 0 {
		setExact(h, headerSequence, strconv.FormatInt(d.Sequence, 10))
	}
}

func (w *Webhook) validateFormat(p *setting.Problems) {
	if w.Format != formatTemplate {
		if !w.Template.IsZero() || w.ContentType != "" {
			key := "template"
			if w.Template.IsZero() {
				key = "content_type"
			}
			p.Add(`write format = "template", or remove it`, fmt.Sprintf("%s belongs to format = \"template\", and the format is %q", key, w.Format), key)
		}
		return
	}
	if w.Template.IsZero() {
		p.Add(`write template = '{"text": {{json .Key}}}'`, "the template is missing", "template")
	}
	if _, _, err := mime.ParseMediaType(w.ContentType); w.ContentType != "" && err != nil {
		p.Add(`write content_type = "text/plain; charset=utf-8"`, fmt.Sprintf("%q is not a content type", w.ContentType), "content_type")
	}
}

// Formats lists the values of the key format.
func Formats() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name := range formats() {
			if !yield(name) {
				return
			}
		}
	})
}
