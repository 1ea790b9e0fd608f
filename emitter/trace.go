package emitter

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// headerTrace names an attempt to whoever traces requests: W3C Trace Context, https://www.w3.org/TR/trace-context/.
const headerTrace = "traceparent"

// Trace is where an attempt stands among the traced requests of a system. All attempts of an event belong to one trace, whoever
// receives them and however often it is sent: its id is made of the event's.
type Trace struct {
	ID      TraceID
	Span    SpanID // of this attempt
	Sampled bool
}

// TraceID names a trace.
type TraceID [16]byte

// SpanID names a step of a trace.
type SpanID [8]byte

// String gives the id in hexadecimal digits.
func (t TraceID) String() string { return hex.EncodeToString(t[:]) }

// String gives the id in hexadecimal digits.
func (s SpanID) String() string { return hex.EncodeToString(s[:]) }

// TraceOf gives the trace of an event, or of a batch, by its webhook-id.
func TraceOf(id string) TraceID {
	sum := sha256.Sum256([]byte(id))
	return TraceID(sum[:16])
}

// NewSpan gives an id that no other span has. It is never all zeros, which would be none.
func NewSpan() (s SpanID) {
	_, _ = rand.Read(s[:]) // it never fails
	s[0] |= 1
	return s
}

// header gives the value of traceparent, version 00.
func (t *Trace) header() string {
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, t.ID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, t.Span[:])
	if t.Sampled {
		return string(append(b, "-01"...))
	}
	return string(append(b, "-00"...))
}

// trace begins a step for an attempt.
func (s *Sender) trace(id string) Trace {
	t := Trace{ID: TraceOf(id), Span: NewSpan()}
	t.Sampled = s.sampled == nil || s.sampled(t.ID)
	return t
}

// setsTrace says whether the configuration has a traceparent of its own, which then stays.
func setsTrace(headers map[string]string) bool {
	for name := range headers {
		if strings.EqualFold(name, headerTrace) {
			return true
		}
	}
	return false
}
