package admin

import (
	"encoding/json"
	"time"

	"github.com/deltahook/deltahook/poller"
)

// Changes are how many changes of each kind there were.
type Changes struct {
	Created int `json:"created"`
	Updated int `json:"updated"`
	Deleted int `json:"deleted"`
}

// Hour is how many changes an hour had.
type Hour struct {
	At time.Time `json:"at"` // its begin
	Changes
}

// SourceDetail is one source with what belongs to it.
type SourceDetail struct {
	Source
	Request  string          `json:"request,omitempty"` // "GET https://crm.example.com/contacts", secrets masked
	Schedule string          `json:"schedule,omitempty"`
	Webhooks []string        `json:"webhooks"`         // that its events go to
	Cursor   json.RawMessage `json:"cursor,omitempty"` // what is remembered of an incremental listing
	Settings []Setting       `json:"settings"`         // the effective configuration
	Hours    []Hour          `json:"hours"`            // the last 24, the current one last
}

// Setting is one key of the effective configuration, secrets masked.
type Setting struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Default bool   `json:"default"` // it has the value that it has when it is not written
}

// PastPoll is one line of a source's history.
type PastPoll struct {
	At       time.Time `json:"at"`
	TookMS   int64     `json:"took_ms"`
	Verdict  string    `json:"verdict"`
	Complete bool      `json:"complete"` // the whole listing was seen, so that what it lacks is missing
	Mode     string    `json:"mode,omitempty"`
	From     string    `json:"from,omitempty"` // the watermark that was asked from
	Pages    int       `json:"pages"`
	Requests int       `json:"requests"`
	Records  int       `json:"records"`
	Created  int       `json:"created"`
	Updated  int       `json:"updated"`
	Deleted  int       `json:"deleted"`
	Ignored  int       `json:"ignored"` // known records that differ only in what does not count
	Missing  int       `json:"missing"` // lacked by the listing, not yet confirmed
	Skipped  int       `json:"skipped"` // without a usable key
	Details  int       `json:"details,omitempty"`
	Quiet    bool      `json:"quiet,omitempty"` // what differed was no news: a baseline, or discarded
	Message  string    `json:"message,omitempty"`
	Status   int       `json:"status,omitempty"`  // of the last answer
	Excerpt  string    `json:"excerpt,omitempty"` // of an answer that could not be used
}

func pollOf(p *poller.Poll) PastPoll {
	return PastPoll{
		At: p.At, TookMS: p.Took.Milliseconds(), Verdict: string(p.Verdict), Complete: p.Verdict == poller.Complete || p.Verdict == poller.Unchanged && p.Mode == poller.Whole,
		Mode: string(p.Mode), From: p.From, Pages: p.Pages, Requests: p.Requests, Records: p.Records,
		Created: p.Created, Updated: p.Updated, Deleted: p.Deleted, Ignored: p.Ignored, Missing: p.Missing, Skipped: p.Skipped, Details: p.Details, Quiet: p.Quiet,
		Message: p.Message, Status: p.Status, Excerpt: p.Excerpt,
	}
}

// Record is a known record.
type Record struct {
	Key     string          `json:"key"`
	Missing int             `json:"missing"`          // complete scans in a row that lacked it
	Body    json.RawMessage `json:"record,omitempty"` // as upstream sent it last; not in lists
}
