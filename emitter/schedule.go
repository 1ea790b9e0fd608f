package emitter

import (
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/deltahook/deltahook/internal/outbound"
)

// wait gives the pause before the next attempt of a delivery that has failed so many times, without jitter; 0 failures: before
// the first attempt. The last step repeats.
func (r *Retry) wait(failures int) time.Duration {
	return r.Schedule[min(failures, len(r.Schedule)-1)].Std()
}

// spread gives the share that jitter adds to a pause.
func (r *Retry) spread() float64 {
	return r.Jitter * rand.Float64()
}

func stretched(d time.Duration, share float64) time.Duration {
	return d + time.Duration(float64(d)*share)
}

// endpointFault says whether a failure cannot be the event's own: nobody was reached, or the receiver says that it is
// overloaded. Any other one may be: a record can crash its receiver, or trip a firewall.
func (o *Outcome) endpointFault() bool {
	if o.Class == Withheld {
		return true
	}
	switch o.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	}
	switch o.Reason {
	case outbound.FaultDNS, outbound.FaultConnect, outbound.FaultTLS, outbound.FaultProxy, outbound.FaultBlocked:
		return true
	}
	return false
}

// attemptOf makes the durable note of an attempt.
func attemptOf(it *item, o Outcome) Attempt {
	return Attempt{
		Number: it.Attempts + 1, At: o.At, Took: o.Took, Status: o.Status,
		Reason: o.Reason, Error: o.Error, Excerpt: o.Excerpt, Trigger: it.trigger(), Request: o.Request,
	}
}
