package poller

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/deltahook/deltahook/differ"
)

// Errors of a Ledger. Any other error of Commit means that the outcome is unknown: the source must be loaded again.
var (
	// ErrFenced says that the lease on the source's shard is lost: somebody else owns it now.
	ErrFenced = errors.New("the source is owned by another member")
	// ErrConflict says that the source's version is not the expected one: load it again.
	ErrConflict = errors.New("the state of the source has moved on")
)

// Ledger is the durable memory of the sources, as the poller needs it. A store implements it; every method works on
// sources whose shard the caller holds, and fails with ErrFenced otherwise.
type Ledger interface {
	// Load gives the state of a source; the zero State (Version 0) for one that was never committed.
	Load(ctx context.Context, source string) (State, error)
	// Prints calls yield for each known record of the source, in no particular order, until it returns false.
	Prints(ctx context.Context, source string, yield func(Known) bool) error
	// Bodies calls yield for each of the hashes that is known, with its key and stored body, in no particular order.
	// The body is valid only during the call.
	Bodies(ctx context.Context, source string, hashes []differ.Hash, yield func(hash differ.Hash, key string, body []byte) error) error
	// Commit writes one poll in one transaction, under the lease and as a compare-and-swap on the version.
	Commit(ctx context.Context, c Commit) (Committed, error)
}

// Known is what is known of a record without its body.
type Known struct {
	Hash    differ.Hash
	Print   differ.Print
	Missing int // complete scans in a row that lacked it
}

// State is the durable state of a source beside its records.
type State struct {
	Version  int64 `json:"-"` // number of commits; 0: never committed
	Sequence int64 `json:"-"` // sequence of the last event
	Records  int64 `json:"-"` // records that are known, kept by the store from the writes

	// Baselined is the time of the first complete poll; zero before it.
	Baselined time.Time `json:"baselined,omitzero"`
	// Identity is the fingerprint of the configuration that says which records there are (origin of url, records, key);
	// Compare that of what is compared (fields, ignore, unordered, where).
	Identity string `json:"identity,omitempty"`
	Compare  string `json:"compare,omitempty"`
	// Edits is what Compare was before edits, as long as not all records were read since; nil when all were.
	Edits *Edits `json:"edits,omitempty"`
	// Details are the fingerprints of the tables detail under which the known records were completed: the present one, and
	// former ones until each record was completed anew. None means that there never was one.
	Details []string `json:"details,omitempty"`
	// Partitions is what is remembered of the lists that the records come in; nil when it is one.
	Partitions *PartitionState `json:"partitions,omitempty"`
	// Began is the sequence of the last event from before the first listing, which may not be finished.
	Began int64 `json:"began,omitempty"`
	// Untold says that what is known is not all that was told: records were forgotten, or known anew, without events. Receivers may
	// hold some that are not known any more, or other versions. It stays.
	Untold bool `json:"untold,omitempty"`
	// Mixed says that records under a former identity may be there, too: a person let that one go, and no complete listing has lacked
	// them yet. Held has that decision.
	Mixed bool `json:"mixed,omitempty"`
	// Validators are those of the last complete answer, byte for byte.
	Validators Validators `json:"validators,omitzero"`
	// Cursor is the watermark of incremental polls, opaque to the store.
	Cursor json.RawMessage `json:"cursor,omitempty"`
	// Changed is the time of the last poll that found records other than they were known, the baseline included. Quiet is
	// when people were told that nothing had changed for too long; zero once something has.
	Changed time.Time `json:"changed,omitzero"`
	Quiet   time.Time `json:"quiet,omitzero"`
	// Held tells why the source waits for a person; nil when it does not.
	Held *Hold `json:"held,omitempty"`
	// Paused is set by `pause` and cleared by `resume`.
	Paused bool `json:"paused,omitempty"`
	// Backfill is the one that is under way, or the last one; nil when there was none.
	Backfill *Backfill `json:"backfill,omitempty"`
}

// Validators make a request conditional (RFC 9110, section 13.1). They belong to one exact URL.
type Validators struct {
	URL          string    `json:"url,omitempty"` // fingerprint of the request they belong to
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
	At           time.Time `json:"at,omitzero"` // when the last unconditional answer came
}

// Hold is a poll that was not applied because it looked wrong, or a changed identity that needs a decision.
type Hold struct {
	Reason  string    `json:"reason"` // "guard", "identity", …
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
	Deletes int       `json:"deletes,omitempty"`
	Creates int       `json:"creates,omitempty"`
	Updates int       `json:"updates,omitempty"`
	// About is what a hold for an identity asks of: a decision holds for that alone, not for another edit.
	About string `json:"about,omitempty"`
	// Begun says that a poll was applied by the decision which did not end the hold.
	Begun bool `json:"begun,omitempty"`
	// Partial says that the poll that was held was a partial one, as those of a cursor are: another one of its kind ends
	// the hold. Otherwise only a complete poll does.
	Partial bool `json:"partial,omitempty"`
	// Release and Discard are what a person decided, one of them at most: the next poll that ends the hold is applied
	// without the guard, with its events or without.
	Release bool `json:"release,omitempty"`
	Discard bool `json:"discard,omitempty"`
}

// Commit is one poll's result. All of it becomes durable at once, or nothing does.
type Commit struct {
	Source string
	Expect int64 // State.Version that the commit was computed from
	State  State // the new state; Sequence is that of the last event in Writes
	Forget Forget
	// Writes yields the changed records with their events, in the order of the events' sequence. It is consumed once,
	// inside the transaction; an error that it yields aborts the commit. Nil means none.
	Writes iter.Seq2[Write, error]
	// Poll is kept in the source's history; nil adds nothing.
	Poll *Poll
}

// Forget is the part of what is stored of a source that a commit drops, before its writes.
type Forget int

// What a commit can drop. Events that were committed stay, and so do their deliveries.
const (
	ForgetNothing Forget = iota
	ForgetRecords        // every known record
	ForgetAll            // and the history of polls; the sequence starts from 1 again
)

// Write is a changed record and the event that tells of it.
type Write struct {
	Known
	Key    string
	Body   []byte // what to keep as the last body; nil leaves what is stored
	Remove bool   // the record is gone: its row is removed
	// Untouched says that the record stays as it is stored, whatever else stands here: only its event is written.
	Untouched bool
	Event     *Event // nil when the change is not news (baseline, first of several missing scans, re-hash)
}

// Event is one change as it will be delivered, bytes fixed.
type Event struct {
	Seq      int64 // set by Commit: position in the store, increasing inside a shard
	ID       string
	Source   string
	Sequence int64
	Type     string // "contacts.updated"
	Change   differ.Kind
	Key      string
	At       time.Time // when the change was detected
	Body     []byte    // format "standard"; what `events show` prints
	To       []Copy    // one per subscribed webhook
}

// Copy is the event for one webhook.
type Copy struct {
	Webhook string
	Body    []byte // nil when it is the event's Body

	// Merge says that an event of the record which still waits for the webhook, and was never attempted, may be changed. It is
	// given that one's id and its Body (not the webhook's), and whether the webhook missed the event of the record before that one; and
	// says what becomes of the two; body is the waiting one's for the webhook when it absorbs. Nil fixes what waits, and the copy
	// itself. It is called during Commit.
	Merge func(id string, waiting []byte, missed bool) (m Merging, body []byte)
	// Merged is what became of the copy; the ledger sets it in Commit.
	Merged Merging
}

// Merging is what becomes of an event and an earlier one of its record that still waits for the same webhook.
type Merging uint8

// The ways to merge.
const (
	Apart     Merging = iota // both are sent
	Absorbed                 // the earlier one carries both; the later one is settled
	Replaced                 // the later one is sent; the earlier one is settled
	Cancelled                // both are settled
)

// Committed is the outcome of a commit.
type Committed struct {
	Version int64
}

// Poll is one line of a source's history.
type Poll struct {
	At       time.Time     `json:"at"`
	Took     time.Duration `json:"took"`
	Verdict  Verdict       `json:"verdict"`
	Pages    int           `json:"pages"`
	Requests int           `json:"requests"`
	Records  int           `json:"records"`
	Created  int           `json:"created"`
	Updated  int           `json:"updated"`
	Deleted  int           `json:"deleted"`
	Missing  int           `json:"missing"`           // lacked by this scan, not yet confirmed
	Skipped  int           `json:"skipped"`           // records without a usable key
	Ignored  int           `json:"ignored,omitempty"` // known records that differ only in what does not count: ignore, order of members, white space
	Details  int           `json:"details,omitempty"`
	Quiet    bool          `json:"quiet,omitempty"` // what differed was no news: a baseline, or discarded
	Message  string        `json:"message,omitempty"`
	Mode     Mode          `json:"mode,omitempty"`
	From     string        `json:"from,omitempty"`   // the watermark that was asked from
	Status   int           `json:"status,omitempty"` // of the last answer that was read; 0: there was none
	Excerpt  string        `json:"-"`                // beginning of an answer that could not be used, redacted, at most 2 KiB; not stored
}

// Mode says what part of a listing a poll asked for.
type Mode string

// The modes. An incremental poll asks for what changed, and proves nothing about what it lacks.
const (
	Whole       Mode = ""
	Incremental Mode = "incremental"
)

// Outlet turns changes into events and takes the events on once they are committed. The daemon implements it on top of
// the emitter, which the poller does not know.
type Outlet interface {
	// Event fixes id and bytes of the event that tells of change c.
	Event(source *Source, sequence int64, at time.Time, c differ.Change) (*Event, error)
	// Committed hands over events that are durable, in order of Seq. complete is false when there were too many to keep
	// in memory: the rest has to be read from the store. It must not block on a receiver.
	Committed(source string, events []*Event, complete bool)
	// Full says whether a webhook of the source has reached max_queue with on_full = "pause": the source must not poll.
	Full(source *Source) (webhook string, full bool)
}
