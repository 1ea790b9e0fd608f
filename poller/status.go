package poller

import (
	"encoding/json"
	"time"
)

// Health is the state of a source, as `status` shows it.
type Health string

// The states of a source.
const (
	Baselining Health = "baselining" // the first poll runs
	Ok         Health = "ok"         // the last poll got a usable answer
	TooQuiet   Health = "quiet"      // the same, but nothing has changed for longer than expected
	Unwell     Health = "failing"
	OnHold     Health = "held"
	Paused     Health = "paused"
	Waiting    Health = "waiting" // for its first poll, or because the server or a full webhook makes it wait
)

// Status is a snapshot of one source.
type Status struct {
	Source    string
	State     Health
	Since     time.Time // of State; zero before the first poll
	LastOK    time.Time // when the last good poll ended
	NextPoll  time.Time // zero: not scheduled (paused)
	Polling   bool      // right now
	Progress  Progress  // of the poll that runs
	Baselined time.Time
	Records   int64
	Sequence  int64
	Changed   time.Time // when a poll last found a change
	Failures  int       // in a row
	Skipped   int64     // scheduled times that passed while a poll ran, since the start
	Message   string
	Hint      string
	Hold      *Hold
	Cursor    json.RawMessage // see State
	Last      Poll            // the last poll; zero before the first
}
