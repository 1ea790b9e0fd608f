package tracing

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/poller"
)

// The JSON of OTLP: names in lower camel case, ids in hexadecimal digits, 64-bit numbers as text, enumerations as numbers. See
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding and opentelemetry/proto/trace/v1/trace.proto.
type (
	request struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resource     `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	resource struct {
		Attributes []attribute `json:"attributes"`
	}
	scopeSpans struct {
		Scope scope  `json:"scope"`
		Spans []span `json:"spans"`
	}
	scope struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	span struct {
		TraceID    string      `json:"traceId"`
		SpanID     string      `json:"spanId"`
		Name       string      `json:"name"`
		Kind       int         `json:"kind"`
		Start      string      `json:"startTimeUnixNano"`
		End        string      `json:"endTimeUnixNano"`
		Attributes []attribute `json:"attributes"`
		Status     status      `json:"status"`
	}
	status struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
	attribute struct {
		Key   string `json:"key"`
		Value value  `json:"value"`
	}
	value struct {
		String *string `json:"stringValue,omitempty"`
		Int    *string `json:"intValue,omitempty"`
	}
)

// Kinds and codes of the enumerations.
const (
	kindInternal = 1
	kindClient   = 3
	codeError    = 2
)

func text(key, v string) attribute { return attribute{key, value{String: &v}} }

func number[T ~int | ~int64](key string, v T) attribute {
	s := strconv.FormatInt(int64(v), 10)
	return attribute{key, value{Int: &s}}
}

func (s *span) lasts(at time.Time, took time.Duration) {
	s.Start = strconv.FormatInt(at.UnixNano(), 10)
	s.End = strconv.FormatInt(at.Add(took).UnixNano(), 10)
}

// pollSpan is one poll, a trace of its own.
func pollSpan(id emitter.TraceID, r *poller.Result) span {
	s := span{
		TraceID: id.String(), SpanID: emitter.NewSpan().String(), Name: "poll " + r.Source, Kind: kindInternal,
		Attributes: []attribute{
			text("deltahook.source", r.Source), text("deltahook.verdict", string(r.Verdict)), number("deltahook.pages", r.Pages),
			number("deltahook.requests", r.Traffic.Requests()), number("deltahook.records", r.Records), number("deltahook.created", r.Created),
			number("deltahook.updated", r.Updated), number("deltahook.deleted", r.Deleted), number("deltahook.events", r.Events),
		},
	}
	s.lasts(r.At, r.Took)
	if r.Verdict == poller.Failed {
		s.Status = status{Code: codeError, Message: r.Message}
	}
	return s
}

// attemptSpan is one attempt to deliver, under the ids that the receiver got in traceparent.
func attemptSpan(d *emitter.Delivery, o *emitter.Outcome) span {
	s := span{
		TraceID: o.Trace.ID.String(), SpanID: o.Trace.Span.String(), Name: "deliver " + d.Webhook, Kind: kindClient,
		Attributes: []attribute{
			text("deltahook.webhook", d.Webhook), text("deltahook.event", d.ID), text("deltahook.type", d.Type), text("deltahook.source", d.Source),
			number("deltahook.attempt", d.Attempts+1), text("deltahook.result", o.Class.String()),
		},
	}
	s.lasts(o.At, o.Took)
	if o.Status != 0 {
		s.Attributes = append(s.Attributes, number("http.response.status_code", o.Status))
	}
	if o.Class != emitter.Delivered {
		s.Attributes = append(s.Attributes, text("error.type", o.Reason))
		s.Status = status{Code: codeError, Message: o.Error}
	}
	return s
}

// encode writes spans as one request.
func encode(o *Options, version string, spans []span) ([]byte, error) {
	var about []attribute
	for _, key := range slices.Sorted(maps.Keys(o.Resource)) {
		about = append(about, text(key, o.Resource[key]))
	}
	about = append(about, text("service.version", version))
	return json.Marshal(request{[]resourceSpans{{
		Resource:   resource{about},
		ScopeSpans: []scopeSpans{{Scope: scope{"deltahook", version}, Spans: spans}},
	}}})
}
