package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// Backfill is what to tell of the current records of a source, and to whom.
type Backfill struct {
	Source string
	To     []string     // webhooks; none: all of the source
	Keys   []string     // records; none: all
	Where  []string     // conditions on a record
	Rate   setting.Rate // zero: as fast as they are delivered
}

// BackfillStep says what to do about a backfill.
type BackfillStep string

// The steps of a backfill.
const (
	PlanBackfill  BackfillStep = "plan"  // say what would be told
	LookBackfill  BackfillStep = "look"  // say how far the one of the source is
	StartBackfill BackfillStep = "start" // begin one; it is durable and goes on after a restart
	StopBackfill  BackfillStep = "stop"  // end the one that is under way
)

// Backfilled is the plan of a backfill, or how far it is.
type Backfilled struct {
	Source string `json:"source"`
	// State is planned, running, done or stopped; none when there never was one.
	State string `json:"state"`

	Records   int64            `json:"records"`              // to look at; of a plan: that match
	ByWebhook map[string]int64 `json:"by_webhook,omitempty"` // snapshots, of a plan
	Bytes     int64            `json:"bytes,omitempty"`      // of a plan
	Seconds   float64          `json:"seconds,omitempty"`    // that a plan takes at its rate and at those of its webhooks

	Looked   int64     `json:"looked"` // records so far
	Told     int64     `json:"told"`   // snapshots so far
	To       []string  `json:"to,omitempty"`
	Rate     string    `json:"rate,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	Note     string    `json:"note,omitempty"` // why it does not go on
}

// BackfilledOf shows a stored backfill; nil for none.
func BackfilledOf(source string, b *poller.Backfill, note string) Backfilled {
	out := Backfilled{Source: source, State: "none"}
	if b == nil {
		return out
	}
	out.Records, out.Looked, out.Told, out.To, out.Rate = b.Total, b.Looked, b.Told, b.To, b.Rate
	out.Started, out.Finished = b.Started, b.Finished
	switch {
	case b.Active():
		out.State, out.Note = "running", note
	case b.Stopped:
		out.State = "stopped"
	default:
		out.State = "done"
	}
	return out
}

// Backfill plans, begins, ends or looks at a backfill.
func (c *Client) Backfill(ctx context.Context, b Backfill, step BackfillStep) (out Backfilled, err error) {
	path := "/api/v1/sources/" + url.PathEscape(b.Source) + "/backfill"
	switch step {
	case PlanBackfill:
		return out, c.call(ctx, http.MethodGet, path+"/plan", backfillValues(b), &out)
	case StartBackfill:
		return out, c.call(ctx, http.MethodPost, path, backfillValues(b), &out)
	case StopBackfill:
		return out, c.call(ctx, http.MethodDelete, path, nil, &out)
	case LookBackfill:
	}
	return out, c.call(ctx, http.MethodGet, path, nil, &out)
}

// Backfill records what the daemon carries out when it starts.
func (o Offline) Backfill(ctx context.Context, b Backfill, step BackfillStep) (Backfilled, error) {
	if o.Fill == nil {
		return Backfilled{}, ErrNotRunning
	}
	return o.Fill(ctx, b, step)
}

func backfillValues(b Backfill) url.Values {
	v := values{}
	v.text("rate", b.Rate.String())
	out := url.Values(v)
	out["to"], out["key"], out["where"] = b.To, b.Keys, b.Where
	return out
}

func (h *handler) backfill(r *http.Request, step BackfillStep) (any, error) {
	v := r.URL.Query()
	b := Backfill{Source: r.PathValue("source"), To: v["to"], Keys: v["key"], Where: v["where"]}
	if rate := v.Get("rate"); rate != "" {
		if err := b.Rate.UnmarshalText([]byte(rate)); err != nil {
			return nil, requestError{fmt.Errorf("rate: %w", err)}
		}
	}
	return h.View.Backfill(r.Context(), b, step)
}

func backfillRoutes() []route {
	const path = apiRoot + "/sources/{source}/backfill"
	params := []param{
		{name: "to", about: "only to this webhook", repeated: true},
		{name: "key", about: "only the record with this key", repeated: true},
		{name: "where", about: "only records for which this condition holds", repeated: true},
		{name: "rate", about: "how fast, like 10/s; without it as fast as they are delivered"},
	}
	step := func(step BackfillStep) func(*handler, *http.Request) (any, error) {
		return func(h *handler, r *http.Request) (any, error) { return h.backfill(r, step) }
	}
	return []route{
		{
			method: "GET", path: path, name: "getBackfill", access: looks, answer: Backfilled{}, errors: []int{404},
			about: "How far the backfill of a source is.", do: step(LookBackfill),
		}, {
			method: "GET", path: path + "/plan", name: "planBackfill", access: looks, params: params, answer: Backfilled{}, errors: []int{404, 409},
			about: "Says what a backfill would tell, and to whom.", do: step(PlanBackfill),
		}, {
			method: "POST", path: path, name: "startBackfill", access: acts, params: params, answer: Backfilled{}, errors: []int{404, 409},
			about: "Begins to tell the current records of a source as snapshots. It goes on after a restart.", do: step(StartBackfill),
		}, {
			method: "DELETE", path: path, name: "stopBackfill", access: acts, answer: Backfilled{}, errors: []int{404, 409},
			about: "Ends the backfill that is under way.", do: step(StopBackfill),
		},
	}
}
