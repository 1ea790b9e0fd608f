package poller

import "time"

// Observer is told what happens to sources. Calls come from the goroutine that polls the source, one at a time for each
// source; they must not block.
type Observer interface {
	// Polled is called after each poll.
	Polled(r Result)
	// Transition is called when a source changes its state.
	Transition(t Transition)
}

// Turn names a change of a source's state.
type Turn string

// The turns.
const (
	Baselined Turn = "baselined" // the first complete poll: records are known from now on
	Failing   Turn = "failing"   // the first failed poll after a good one, and every tenth in a row (Failures tells)
	Recovered Turn = "recovered" // the first good poll after failed ones
	Halted    Turn = "held"      // a poll was not applied: a person has to decide
	Released  Turn = "released"  // the source is no longer held
	Quiet     Turn = "quiet"     // nothing changed for longer than expected
	Stirred   Turn = "stirred"   // something changed, or is not expected any more, after Quiet
)

// Transition is a change of a source's state.
type Transition struct {
	Source   string
	Turn     Turn
	At       time.Time
	Since    time.Time // of the state that ends (Recovered, Released) or goes on (Failing); of the last change (Quiet, Stirred)
	Failures int       // polls in a row that failed
	Records  int64     // known records (Baselined)
	Events   int       // that told of them (Baselined, with initial = "emit")
	Message  string    // for people
	Hint     string    // the next step; may be empty
	NextPoll time.Time // zero: not known yet
}

type nobody struct{}

func (nobody) Polled(Result)         {}
func (nobody) Transition(Transition) {}
