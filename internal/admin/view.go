// Package admin is how people and scripts look at a deltahook and act on it: the JSON views, the HTTP API that serves them,
// the client that reads them from a running daemon, and the same views read from the store while the daemon is down.
package admin

import (
	"context"
	"encoding/json"
	"time"

	"github.com/deltahook/deltahook/internal/store"
)

// View is what can be looked at and done, on a running daemon (Client) or on its store alone (Offline).
type View interface {
	Status(ctx context.Context) (Status, error)
	// Source gives one source with its configuration.
	Source(ctx context.Context, name string) (SourceDetail, error)
	// Polls lists the last polls of a source, newest first, at most limit. A running daemon knows those that changed nothing, too.
	Polls(ctx context.Context, source string, limit int) ([]PastPoll, error)
	// Activity gives the changes of the last 24 hours by source, the current hour last.
	Activity(ctx context.Context, sources []string) (map[string][]Hour, error)
	// Records lists the known records of a source by key.
	Records(ctx context.Context, q store.RecordQuery) ([]Record, error)
	// Record gives one of them; store.ErrNotFound when there is none.
	Record(ctx context.Context, source, key string) (Record, error)
	// Why tells the story of one record.
	Why(ctx context.Context, source, key string) (Story, error)
	// Stream calls yield for what happens until ctx ends or yield fails, see Stream.Watch. ErrNotRunning without a daemon.
	Stream(ctx context.Context, q StreamQuery, yield func(Item) error) error
	Events(ctx context.Context, q store.EventQuery) ([]Event, error)
	Event(ctx context.Context, id string) (EventDetail, error)
	Deliveries(ctx context.Context, q store.DeliveryQuery) ([]Delivery, error)
	// Change replays, drops or skips deliveries. With plan it only counts.
	Change(ctx context.Context, c Change, plan bool) (Changed, error)
	// Act does something to a source or a webhook. ErrNotRunning without a daemon.
	Act(ctx context.Context, a Action) error
	// Edit changes what is stored of a source. With plan it only says what would become of it.
	Edit(ctx context.Context, e Edit, plan bool) (Edited, error)
	// Backfill plans, begins, ends or looks at a backfill.
	Backfill(ctx context.Context, b Backfill, step BackfillStep) (Backfilled, error)
	// Reload reads the configuration again. RejectedError when it cannot run, ErrNotRunning without a daemon.
	Reload(ctx context.Context) (Reloaded, error)
}

// Action is something to do to a source or to a webhook; exactly one of the two is named.
type Action struct {
	Verb    Verb
	Source  string
	Webhook string
}

// Verb says what to do.
type Verb string

// The verbs. Webhooks know Pause and Resume only.
const (
	Poll    Verb = "poll"    // now
	Pause   Verb = "pause"   // until Resume, durably; nothing is lost meanwhile
	Resume  Verb = "resume"  // go on where it stopped
	Release Verb = "release" // apply the next complete poll of a held source
	Discard Verb = "discard" // take the next complete poll of a held source without events
	Jump    Verb = "skip"    // resume a source, but take its next complete poll without events
)

// Edit is a change of what is stored of a source: Rekey or Reset.
type Edit struct {
	Verb   Verb
	Source string
	Level  string // of a reset: validators, cursor, records or all
}

// The verbs of edits.
const (
	Rekey Verb = "rekey" // keep the records under the keys that the configuration says
	Reset Verb = "reset" // forget as much as the level says
)

// Edited is the plan or the outcome of an edit.
type Edited struct {
	Source   string `json:"source"`
	Verb     Verb   `json:"verb"`
	Level    string `json:"level,omitempty"`
	Change   string `json:"change,omitempty"` // of the configuration that made a rekey necessary
	Records  int64  `json:"records"`          // that were known before
	Moved    int64  `json:"moved,omitempty"`  // get another key
	Sequence int64  `json:"sequence"`         // of the last event before
	Waiting  int    `json:"waiting"`          // deliveries of the source that wait; at most 1,000 are counted
	Emits    bool   `json:"emits,omitempty"`  // the next poll sends every record as created (initial = "emit")
	Done     bool   `json:"done"`
}

// Status is the state of everything at one moment.
type Status struct {
	Running  bool      `json:"running"` // false: read from the store, nothing is polled or sent
	Version  string    `json:"version,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Sources  []Source  `json:"sources"`
	Webhooks []Webhook `json:"webhooks"`
	// Config is the configuration that is in force, and what came of reading its files last; nil while nothing runs.
	Config *Config `json:"config,omitempty"`
	// Members are the replicas that share the store, by name; nothing where there can be only one.
	Members []Member `json:"members,omitempty"`
	// Unowned is how many shards no replica that is alive owns: their sources wait.
	Unowned int `json:"shards_unowned,omitempty"`
	// Alerts are the troubles that [alerts] tells of, those that have not lasted for alerts.after included.
	Alerts []Alert `json:"alerts,omitempty"`
	// Alerting is whom [alerts] tells of them.
	Alerting *Alerting `json:"alerting,omitempty"`
}

// Member is one replica, as it says of itself.
type Member struct {
	ID      string    `json:"member"`
	Self    bool      `json:"self,omitempty"` // the one that answers
	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Shards  int       `json:"shards"` // that it owns
	Config  string    `json:"config,omitempty"`
	Loaded  time.Time `json:"config_loaded,omitzero"` // since when it is in force there
	// Differs are the parts in which its configuration is another one than that of the replica that answers: sources, webhooks, hosts,
	// alerts, store, secrets.
	Differs  []string `json:"config_differs,omitempty"`
	Rejected string   `json:"config_rejected,omitempty"` // what is wrong with its files; the configuration from before goes on
	// Keeps are the things that one replica does for all: alerts, housekeeping.
	Keeps []string `json:"keeps,omitempty"`
}

// Config is the configuration of a running daemon.
type Config struct {
	Files    []string  `json:"files,omitempty"`   // that it was read from
	Loaded   time.Time `json:"loaded,omitzero"`   // since when it is in force
	OK       bool      `json:"ok"`                // false: what stands in the files now is rejected, and the one from before goes on
	Checked  time.Time `json:"checked,omitzero"`  // when the files were last read: at the start or for a reload
	Error    string    `json:"error,omitempty"`   // all that is wrong with them, as deltahook check says it; several lines
	Restart  []string  `json:"restart,omitempty"` // changes that wait for a restart: "store.url a → b"
	Reloads  int64     `json:"reloads"`           // that came into force since the start
	Rejected int64     `json:"rejected"`          // that did not
}

// Source is the state of one polled API.
type Source struct {
	Name      string    `json:"source"`
	State     string    `json:"state"` // baselining, ok, quiet, failing, held, paused, waiting
	Since     time.Time `json:"since,omitzero"`
	LastOK    time.Time `json:"last_ok,omitzero"`
	LastPoll  time.Time `json:"last_poll,omitzero"`
	NextPoll  time.Time `json:"next_poll,omitzero"`
	Baselined time.Time `json:"baselined,omitzero"`
	Records   int64     `json:"records"`
	Sequence  int64     `json:"sequence"`
	Failures  int       `json:"consecutive_failures"`
	Changed   time.Time `json:"changed,omitzero"` // when a poll last found a change
	Skipped   int64     `json:"skipped"`          // scheduled times that passed while a poll ran, since the start
	Verdict   string    `json:"verdict,omitempty"`
	Mode      string    `json:"mode,omitempty"` // incremental: the last poll asked only for what changed
	From      string    `json:"from,omitempty"` // the watermark that it asked from
	Note      string    `json:"note,omitempty"`
	Polling   bool      `json:"polling,omitempty"`
	Day       Changes   `json:"day"`               // changes of the last 24 hours
	Removed   bool      `json:"removed,omitempty"` // no longer configured; its state is kept for store.keep_removed
	Hold      *Hold     `json:"hold,omitempty"`    // why it waits for a person
	Member    string    `json:"member,omitempty"`  // the replica that polls it, where it is another one than the one that answers
	Seen      time.Time `json:"seen,omitzero"`     // when that one reported this; times may have moved on since
	Stale     bool      `json:"stale,omitempty"`   // it reports nothing any more, or has not yet: this is what was known last
}

// Hold is a poll that was not applied, or an edit that was not carried out, until a person decides.
type Hold struct {
	Reason  string    `json:"reason"` // guard, identity
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
	Created int       `json:"created"` // by the poll that was held
	Updated int       `json:"updated"`
	Deleted int       `json:"deleted"`
	Decided Verb      `json:"decided,omitempty"` // release or discard: the next complete poll carries it out
}

// Webhook is the state of one receiver.
type Webhook struct {
	Name      string    `json:"webhook"`
	State     string    `json:"state"` // ok, failing, paused, recovering; removed: it left the configuration while deliveries waited for it
	Queued    int64     `json:"queued"`
	InFlight  int       `json:"in_flight"`
	Parked    int64     `json:"parked"`
	Oldest    time.Time `json:"oldest,omitzero"` // detection time of the oldest event that waits
	Delivered int64     `json:"delivered"`       // since the daemon started
	Failed    int64     `json:"failed"`          // attempts since the daemon started
	Merged    int64     `json:"merged"`          // events that others of their record carry, since the daemon started
	Failures  int       `json:"consecutive_failures"`
	NextTry   time.Time `json:"next_try,omitzero"`
	Note      string    `json:"note,omitempty"`
	// ClockSkewMS is how far the receiver's clock is ahead of ours, by its last answer; 0: not at all, or not known.
	ClockSkewMS int64 `json:"clock_skew_ms,omitempty"`
}

// Event is one detected change.
type Event struct {
	ID       string    `json:"id"`
	Seq      int64     `json:"seq"`
	Source   string    `json:"source"`
	Sequence int64     `json:"sequence"`
	Type     string    `json:"type"`
	Key      string    `json:"key"`
	At       time.Time `json:"at"`
}

// EventDetail is an event with its payload and what became of it.
type EventDetail struct {
	Event
	Payload    json.RawMessage `json:"payload,omitempty"`
	Deliveries []Delivery      `json:"deliveries"`
}

// Delivery is one event on its way to one webhook.
type Delivery struct {
	Event    string    `json:"event"`
	Seq      int64     `json:"seq"`
	Webhook  string    `json:"webhook"`
	Source   string    `json:"source"`
	Type     string    `json:"type"`
	Key      string    `json:"key"`
	State    string    `json:"state"`
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next,omitzero"`
	Settled  time.Time `json:"settled,omitzero"`
	Status   int       `json:"status,omitempty"`
	TookMS   int64     `json:"took_ms"`
	Reason   string    `json:"reason,omitempty"`
	Batch    string    `json:"batch,omitempty"`       // that it was last sent in
	Into     string    `json:"merged_into,omitempty"` // of a merged one: the event that it went into
	History  []Attempt `json:"history,omitempty"`     // in details only
}

// Attempt is one POST of a delivery.
type Attempt struct {
	Number  int       `json:"attempt"`
	At      time.Time `json:"at"`
	TookMS  int64     `json:"took_ms"`
	Status  int       `json:"status,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Error   string    `json:"error,omitempty"`
	Excerpt string    `json:"excerpt,omitempty"`
	Trigger string    `json:"trigger"`
	Request string    `json:"request,omitempty"` // header lines that were sent, of a failed attempt
}
