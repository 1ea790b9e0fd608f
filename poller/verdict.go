package poller

// Verdict is what a poll turned out to be.
type Verdict string

// The verdicts. Only Complete proves what is missing; only Complete and Partial apply changes.
const (
	Complete  Verdict = "complete"  // the whole listing was seen, up to a positive end signal
	Partial   Verdict = "partial"   // a part of the listing by design (an incremental poll) or by an interruption after which upserts are sound
	Unchanged Verdict = "unchanged" // the server said so (304), or every record was as known
	Deferred  Verdict = "deferred"  // the server asked to wait longer than the poll may
	Failed    Verdict = "failed"    // nothing was applied
	Held      Verdict = "held"      // complete, but outside the guard: waits for a person
)
