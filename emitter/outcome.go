package emitter

import (
	"time"
)

// Class says what an attempt means for its delivery and for the webhook's gate.
type Class uint8

// The classes of an outcome.
const (
	// Delivered: a 2xx status line came, whatever happened to the rest of the answer (unless success_when asks for more).
	Delivered Class = iota + 1
	// Rejected: the receiver refuses this event (400, 413, 415, 422), or it has no body to send. It is parked; the gate does not move.
	Rejected
	// Failed: the endpoint did not take it: no answer, or any other status. The gate moves and the delivery is tried again.
	Failed
	// Gone: 410. The webhook is paused; the delivery waits.
	Gone
	// Withheld: nothing was sent, for a reason that is the webhook's: no signature, no token, no agreement of the receiver. The gate moves;
	// the delivery waits and keeps the time that it has.
	Withheld
	// Aborted: the attempt was cancelled by us. Whether it arrived is unknown, and it does not count.
	Aborted
)

// String gives the word for logs and metrics.
func (c Class) String() string {
	switch c {
	case Delivered:
		return "delivered"
	case Rejected:
		return "rejected"
	case Failed:
		return "failed"
	case Gone:
		return "gone"
	case Withheld:
		return "withheld"
	case Aborted:
		return "aborted"
	}
	return "unknown"
}

// The reasons why an attempt failed; those of package outbound (dns, connect, tls, timeout, closed, proxy, blocked_ip,
// unready, protocol) complete the set.
const (
	ReasonRedirect    = "redirect" // any 3xx: never followed
	ReasonStatus4xx   = "status_4xx"
	ReasonStatus5xx   = "status_5xx"
	ReasonStatusOther = "status_other" // 101 or beyond 599
	ReasonAnswer      = "answer"       // a 2xx whose body says that it did not succeed, see success_when
	ReasonFormat      = "format"       // the event cannot be written in the webhook's format
	ReasonSign        = "sign"         // the attempt could not be signed: a secret is gone or unusable
	ReasonAuth        = "auth"         // there was no proof to send: no token, or a secret is gone
	ReasonHandshake   = "handshake"    // the receiver does not agree to be called
	ReasonGaveUp      = "gave_up"      // of parking: give_up_after has passed
)

// Outcome is what came of one attempt. A failure is a value, not an error: the outbox must hear of it.
type Outcome struct {
	Class      Class
	Status     int           // 0 when no status line came
	Reason     string        // bounded set; empty when delivered
	Error      string        // for people, redacted; empty when delivered
	Excerpt    string        // start of the answer, at most 4 KiB, valid UTF-8
	Request    string        // header lines that were sent, secrets redacted, at most 2 KiB; empty when delivered
	RetryAfter time.Duration // what the receiver asks for, at most 24 h; 0: nothing
	Skew       time.Duration // receiver's clock minus ours, by its Date header; 0: within a second, or not known
	Dated      bool          // there was such a header
	Limit      float64       // deliveries per second that the receiver allows from now on, as it said just now; 0: it said nothing
	At         time.Time     // start
	Took       time.Duration
	Trace      Trace
}

// classOf decides by the status line.
func classOf(status int) (Class, string) {
	switch {
	case status >= 200 && status <= 299:
		return Delivered, ""
	case status >= 300 && status <= 399:
		return Failed, ReasonRedirect
	case status == 400 || status == 413 || status == 415 || status == 422:
		return Rejected, ReasonStatus4xx
	case status == 410:
		return Gone, ReasonStatus4xx
	case status >= 400 && status <= 499:
		return Failed, ReasonStatus4xx
	case status >= 500 && status <= 599:
		return Failed, ReasonStatus5xx
	}
	return Failed, ReasonStatusOther
}
