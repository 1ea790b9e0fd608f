package poller

import (
	"encoding/json"
	"time"
)

// tracker follows the state of one source from poll to poll.
type tracker struct {
	health    Health
	since     time.Time // of health
	lastOK    time.Time
	failures  int // in a row
	deferrals int // by the server, in a row
	unwell    time.Time
	last      *recent // nil: there was no poll
}

// recent is what of the last poll, and of the source after it, people are told. There may be very many sources.
type recent struct {
	Poll

	hint      string
	hold      *Hold
	baselined time.Time
	changed   time.Time
	version   int64
	records   int64
	sequence  int64
	cursor    json.RawMessage
}

// recall gives what is known of the last poll.
func (t *tracker) recall() recent {
	if t.last == nil {
		return recent{}
	}
	return *t.last
}

func (t *tracker) remember(r *Result) {
	if t.last == nil {
		t.last = &recent{}
	}
	was := *t.last
	*t.last = recent{
		Poll: r.Poll, hint: r.Hint, hold: r.Hold, baselined: r.State.Baselined, changed: r.State.lastChange(),
		version: r.State.Version, records: r.State.Records, sequence: r.State.Sequence, cursor: r.State.Cursor,
	}
	if is := t.last; r.Verdict == Failed && is.version == 0 && is.hold == nil { // the store does not tell: what was known is no less true
		is.hold, is.baselined, is.changed, is.version = was.hold, was.baselined, was.changed, was.version
		is.records, is.sequence, is.cursor = was.records, was.sequence, was.cursor
	}
}

// tellEvery is after how many failures in a row a person is reminded in the log.
const tellEvery = 10

// patience is how many deferrals in a row are courtesy; then somebody should know.
const patience = 3

// after takes a poll in and says what it changed.
func (t *tracker) after(r Result) []Transition {
	var turns []Transition
	end := r.At.Add(r.Took)
	known := t.last != nil
	switch {
	case r.Paused:
		t.become(Paused, r.At)
	case r.Verdict == Deferred:
		t.become(Waiting, r.At)
		if r.Until.IsZero() {
			break
		}
		if t.deferrals++; t.deferrals == patience && t.unwell.IsZero() {
			t.unwell = r.At
			turns = append(turns, t.turn(Failing, r))
		}
	case r.Verdict == Failed:
		t.become(Unwell, r.At)
		if t.unwell.IsZero() {
			t.unwell = r.At
		}
		if t.failures++; t.failures == 1 || t.failures%tellEvery == 0 {
			turns = append(turns, t.turn(Failing, r))
		}
	default:
		turns = t.good(r, end, known)
	}
	t.remember(&r)
	return turns
}

// good takes in a poll that got a usable answer.
func (t *tracker) good(r Result, end time.Time, known bool) []Transition {
	var turns []Transition
	if !t.unwell.IsZero() {
		turns = append(turns, t.turn(Recovered, r))
	}
	t.failures, t.deferrals, t.unwell, t.lastOK = 0, 0, time.Time{}, end
	wasHeld := t.recall().hold != nil
	switch {
	case r.Verdict == Held:
		// A hold from before the start of the process is known to those who were told then.
		if r.Hold != nil && !wasHeld && (known || !r.Hold.Since.Before(r.At)) {
			turns = append(turns, t.turn(Halted, r))
		}
		t.become(OnHold, r.At)
		return turns
	case r.released:
		turns = append(turns, t.turn(Released, r))
	}
	if r.baselined {
		turns = append(turns, t.turn(Baselined, r))
	}
	switch {
	case r.hushed:
		turns = append(turns, t.turn(Quiet, r))
	case r.stirred:
		turns = append(turns, t.turn(Stirred, r))
	}
	if r.Hold != nil { // a partial poll was applied, and the hold of a complete one stays
		t.become(OnHold, r.At)
		return turns
	}
	if quiet := r.State.Quiet; !quiet.IsZero() {
		t.become(TooQuiet, quiet)
		return turns
	}
	t.become(Ok, r.At)
	return turns
}

func (t *tracker) become(h Health, at time.Time) {
	if t.health != h {
		t.health, t.since = h, at
	}
}

func (t *tracker) turn(turn Turn, r Result) Transition {
	out := Transition{
		Source: r.Source, Turn: turn, At: r.At, Failures: t.failures, Records: r.State.Records,
		Message: r.Message, Hint: r.Hint,
	}
	switch turn {
	case Failing, Recovered:
		out.Since = t.unwell
	case Released:
		if hold := t.recall().hold; hold != nil {
			out.Since = hold.Since
		}
	case Halted:
		out.Since = r.Hold.Since
	case Quiet:
		out.Since = r.State.lastChange()
	case Stirred:
		out.Since = t.recall().changed
	case Baselined:
		out.Events = r.Events
	}
	return out
}

// status fills in what the tracker knows.
func (t *tracker) status(s *Status) {
	s.State, s.Since, s.LastOK, s.Failures = t.health, t.since, t.lastOK, t.failures
	r := t.recall()
	switch {
	case s.Polling && r.baselined.IsZero() && r.version == 0:
		s.State = Baselining
	case t.health == "":
		s.State = Waiting
	}
	s.Baselined, s.Records, s.Sequence, s.Changed = r.baselined, r.records, r.sequence, r.changed
	s.Message, s.Hint, s.Hold, s.Last, s.Cursor = r.Message, r.hint, r.hold, r.Poll, r.cursor
}
