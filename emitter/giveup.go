package emitter

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// tried says whether a delivery has failed, since the replay if there was one. What nobody has tried does not age.
func (d *Delivery) tried() bool {
	return !d.Since.IsZero() && (d.Attempts > 0 || !d.Replay)
}

// age notes that an attempt has failed. The first one decides until when there are others.
func (q *queue) age(it *item, o Outcome, now time.Time) {
	it.fails++
	it.Status, it.Reason, it.last = o.Status, o.Reason, o.Error
	if it.Since.IsZero() {
		it.Since = now
	}
	if it.until.IsZero() {
		it.until = it.Since.Add(q.webhook.Retry.GiveUpAfter.Std())
	}
}

// gaveUp is why a delivery is parked after the last attempt has failed like that.
func (q *queue) gaveUp(failure string) string {
	return "gave up after " + q.webhook.Retry.GiveUpAfter.String() + ": " + failure
}

// failure says what came of the last attempt. One of an earlier process is known by its status and reason only.
func (it *item) failure() string {
	switch {
	case it.last != "":
		return it.last
	case it.Reason == ReasonAnswer:
		return "the answer did not say that it succeeded"
	case it.Status > 0:
		return strings.TrimSpace(strconv.Itoa(it.Status) + " " + http.StatusText(it.Status))
	}
	return it.Reason
}

// mostParking bounds what is given up on and not yet durably parked: the rest has its turn when that is heard of.
const mostParking = 1000

// giveUp parks what has failed for give_up_after, without another attempt: while the receiver is down, one probe after the other
// goes to events that have failed less, and the turn of this one may never come. It sets the timer for the next one.
//
// The time may also have passed while nothing was tried, because the webhook was paused, nothing could be sent, or deltahook was not
// running or did not own the shard: then the receiver has to fail once more first.
func (q *queue) giveUp(now time.Time) {
	if !q.running || q.gate.stopped() || !q.trust.Open(now) {
		return
	}
	for q.parking < mostParking {
		l := q.agenda.eldest()
		switch shut := q.gate.Probes(); {
		case l == nil:
			return
		case l.until.After(now):
			q.wakeAt(l.until, now)
			return
		case shut && !q.fails(now), !shut && !l.head().due.After(now):
			return // a probe decides, or its own turn
		case !shut && now.Sub(l.until) > missed:
			q.agenda.putOff(l)
		default:
			q.giveUpOn(l)
		}
	}
}

// missed is how late it has to be behind an open gate for the time of an event to have passed while nobody looked: then it gets the
// attempt that it waits for.
const missed = time.Minute

// heardFailure notes that an attempt has failed; idle says that this tells nothing of the receiver as it is now.
func (q *queue) heardFailure(idle bool) {
	if q.failing = q.gate.ProbeAt(false); idle {
		q.failing = time.Time{}
	}
}

// fails says that the receiver is down as far as anybody can know: it has failed, and the next probe is not due yet.
func (q *queue) fails(now time.Time) bool { return !overdue(q.failing, now) }

// overdue says that a time has come by one of two clocks: a machine that slept may have counted that on the wall only.
func overdue(at, now time.Time) bool { return !now.Before(at) || !now.Round(0).Before(at.Round(0)) }

// giveUpOn parks the first delivery of a lane, or the batch that it goes out in. Like all that is parked it keeps its place until that
// is durable.
func (q *queue) giveUpOn(l *lane) {
	lead := l.head()
	items, bundle := []*item{lead}, []*item(nil)
	if b := lead.bundle; b != nil {
		items, bundle = b.items, b.items
	}
	for _, lane := range lanesOf(items) {
		q.agenda.remove(lane)
		lane.busy = true
	}
	q.parking++
	failure := lead.failure()
	o := Outcome{Class: Failed, Status: lead.Status, Reason: ReasonGaveUp, Error: failure}
	q.record.giveUp(q, lead, bundle, q.gaveUp(failure), o)
}

// until gives when a batch is given up on: with the event that has waited least, so that none is given up on before its time. Zero:
// one of them was not tried yet.
func (b *bundle) until() (until time.Time) {
	for _, it := range b.items {
		if it.until.IsZero() {
			return time.Time{}
		}
		until = later(until, it.until)
	}
	return until
}

// age keeps a lane among those that are given up on one day, when its first delivery has failed.
func (a *agenda) age(l *lane) {
	head := l.head()
	if l.until = head.until; head.bundle != nil {
		l.until = head.bundle.until()
	}
	if !l.until.IsZero() {
		a.aging.Set(l)
	}
}

// eldest gives the lane that is the first to be given up on; nil when none has failed.
func (a *agenda) eldest() *lane {
	l, _ := a.aging.First()
	return l
}

// putOff lets a lane whose time is up wait for its next attempt.
func (a *agenda) putOff(l *lane) {
	l.until = l.head().due
	a.aging.Set(l)
}

// byUntil orders lanes that do not get through by when they are given up on.
type byUntil struct{}

// Due is when the first delivery is given up on.
func (byUntil) Due(l *lane) time.Time { return l.until }

// Place is that among those that have failed.
func (byUntil) Place(l *lane) *int { return &l.aging }
