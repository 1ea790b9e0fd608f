package admin

import "time"

// Kinds of what is planned.
const (
	PlanNew       = "new"
	PlanUnchanged = "unchanged"
	PlanChanged   = "changed" // and nothing that is stored is concerned
	PlanCompared  = "compared"
	PlanHeld      = "held"
	PlanBack      = "back" // after it had been removed
	PlanRemoved   = "removed"
	PlanRestart   = "restart" // it waits for one
)

// Planned is what a start or a reload does, or would do, to one source or webhook, or to another table of the configuration.
type Planned struct {
	Source  string   `json:"source,omitempty"`
	Webhook string   `json:"webhook,omitempty"`
	Section string   `json:"section,omitempty"` // store, admin, log, host.NAME
	Kind    string   `json:"plan"`
	Changes []string `json:"changes,omitempty"` // of the configuration: "every 5m → 1m"
	Records int64    `json:"records"`           // that are known
	Waiting int64    `json:"waiting"`           // deliveries in the queue of a webhook
	Effect  string   `json:"effect,omitempty"`  // for people
	Next    []string `json:"next,omitempty"`    // commands that decide what is held
}

// Table names the table that it is about, as Settings does.
func (p *Planned) Table() string {
	switch {
	case p.Source != "":
		return "source." + p.Source
	case p.Webhook != "":
		return "webhook." + p.Webhook
	}
	return p.Section
}

// Reloaded is what a reload did.
type Reloaded struct {
	At      time.Time `json:"at"`
	Files   []string  `json:"files"`
	Changed int       `json:"changed"` // tables
	Steps   []Planned `json:"steps"`   // those that are unchanged, too
}

// RejectedError says that the configuration in the files cannot run; the one from before goes on. Its text is what
// deltahook check says.
type RejectedError struct{ Problems string }

// Error gives the problems.
func (e *RejectedError) Error() string { return e.Problems }
