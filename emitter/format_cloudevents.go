package emitter

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// CloudEvents 1.0.2 in the JSON format and in the binary mode of HTTP. Both say the same: what the body of the one has, the
// headers of the other have.

const eventTime = "2006-01-02T15:04:05.000Z"

// attribute is one context attribute of CloudEvents.
type attribute struct{ name, value string }

// attributes gives them in the order in which they go out. None may be empty: what there is not is left out.
func attributes(d *Delivery) []attribute {
	all := []attribute{
		{"specversion", "1.0"},
		{"id", d.ID},
		{"source", sourceOf(d)},
		{"type", d.Type},
		{"subject", d.Key},
		{"time", d.At.UTC().Format(eventTime)},
		{"sequence", sequenceOf(d)},
		{"partitionkey", d.Key},
	}
	kept := all[:0]
	for _, a := range all {
		if a.value != "" {
			kept = append(kept, a)
		}
	}
	return kept
}

// sourceOf gives the source; that of a notice is deltahook itself.
func sourceOf(d *Delivery) string {
	if d.Source == "" || d.Source == Own {
		return "/deltahook"
	}
	return "/sources/" + url.PathEscape(d.Source)
}

// sequenceOf gives the sequence so that texts sort as numbers do; a notice has none.
func sequenceOf(d *Delivery) string {
	if d.Sequence == 0 {
		return ""
	}
	return fmt.Sprintf("%020d", d.Sequence)
}

// encodeStructured makes an event in the JSON format; data is that of the format "standard".
func encodeStructured(w *Webhook, dst []byte, id string, e *Event) []byte {
	d := Delivery{ID: id, Source: e.Source, Key: e.Change.Key, Type: e.EventType(), Sequence: e.Sequence, At: e.At.Truncate(time.Millisecond)}
	dst = append(dst, '{')
	for _, a := range attributes(&d) {
		dst = append(appendString(dst, a.name), ':')
		dst = append(appendString(dst, a.value), ',')
	}
	dst = append(dst, `"datacontenttype":"application/json","data":`...)
	return append(encodeData(w, dst, id, e), '}')
}

// encodeData makes the member data of the format "standard".
func encodeData(_ *Webhook, dst []byte, _ string, e *Event) []byte { return appendData(dst, e) }

// setEventHeaders sets the headers of the binary mode. They come from what is stored: each attempt has the same.
func setEventHeaders(h http.Header, d *Delivery) {
	for _, a := range attributes(d) {
		setExact(h, "ce-"+a.name, headerText(a.value))
	}
}

// headerText encodes a value for a header: as UTF-8, with all but printable ASCII, and blank, quote and percent, as %XX
// (CloudEvents HTTP Protocol Binding, section 3.1.3.2).
func headerText(text string) string {
	const hex = "0123456789ABCDEF"
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || c == '"' || c == '%' {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
