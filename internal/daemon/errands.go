package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
)

// errand is what a person wants of a source, on its way to the replica that looks after it.
type errand struct {
	Source string       `json:"source"`
	Verb   string       `json:"verb"` // of an action or an edit, or verbBackfill
	Level  string       `json:"level,omitempty"`
	Plan   bool         `json:"plan,omitempty"`
	Step   string       `json:"step,omitempty"`
	To     []string     `json:"to,omitempty"`
	Keys   []string     `json:"keys,omitempty"`
	Where  []string     `json:"where,omitempty"`
	Rate   setting.Rate `json:"rate,omitzero"`
}

const verbBackfill = "backfill"

// errandAnswer is what came of it.
type errandAnswer struct {
	Edited     admin.Edited     `json:"edited"`
	Backfilled admin.Backfilled `json:"backfilled"`
	Kind       string           `json:"kind,omitempty"`  // of the error
	Error      string           `json:"error,omitempty"` // empty: it is done
}

// errandKinds are the errors that are told apart on the way back.
func errandKinds() map[string]error {
	return map[string]error{"state": admin.ErrState, "source": admin.ErrNoSource, "webhook": admin.ErrNoWebhook, "verb": admin.ErrNoVerb, "missing": store.ErrNotFound}
}

// kindError is an error of another replica.
type kindError struct {
	text string
	kind error
}

func (e *kindError) Error() string { return e.text }
func (e *kindError) Unwrap() error { return e.kind }

// errands passes on what is wanted of the sources of other replicas, and does what they want of ours.
type errands struct {
	d    *Daemon
	desk store.Errands // nil: there are no others

	mu    sync.Mutex
	doing map[int64]bool
}

func newErrands(d *Daemon) *errands {
	desk, _ := d.opts.Store.(store.Errands)
	return &errands{d: d, desk: desk, doing: map[int64]bool{}}
}

// How often errands are looked for, how often for their answers, and how long one is waited for.
const (
	errandPeriod = 500 * time.Millisecond
	errandPause  = 100 * time.Millisecond
	errandWait   = 20 * time.Second
)

// ask lets the replica that looks after the source do it, and waits for the answer.
func (e *errands) ask(ctx context.Context, want errand) (out errandAnswer, err error) {
	if e.desk == nil {
		return out, e.d.shards.elsewhere(want.Source)
	}
	text, err := json.Marshal(want)
	if err != nil {
		return out, err
	}
	id, err := e.desk.Ask(ctx, store.ShardOf(want.Source), text)
	if err != nil {
		return out, err
	}
	answer, err := e.await(ctx, id)
	if err != nil {
		return out, err
	}
	if answer == nil {
		return out, fmt.Errorf("%w: %s, which looks after source %s, has not answered in %s; see deltahook status whether it was done", admin.ErrState, e.d.shards.owner(want.Source), want.Source, errandWait)
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return out, fmt.Errorf("the answer of another replica: %w", err)
	}
	if out.Error != "" {
		return out, &kindError{text: out.Error, kind: errandKinds()[out.Kind]}
	}
	return out, nil
}

// await gives the answer to an errand; nil when none comes.
func (e *errands) await(ctx context.Context, id int64) ([]byte, error) {
	waiting, cancel := context.WithTimeout(ctx, errandWait)
	defer cancel()
	for waiting.Err() == nil {
		answer, err := e.desk.Collect(waiting, id, false)
		if err != nil && waiting.Err() == nil || answer != nil {
			return answer, err
		}
		sleep(waiting, errandPause)
	}
	return e.desk.Collect(context.WithoutCancel(ctx), id, true)
}

// run does what is wanted of our sources until ctx ends.
func (e *errands) run(ctx context.Context) {
	if e.desk == nil {
		return
	}
	e.d.pulse.every(ctx, "errands", errandPeriod, func(ctx context.Context) {
		list, err := e.desk.Asked(ctx, e.d.shards.list())
		if err != nil {
			return // others tell that the store does not answer, and who asked asks again
		}
		for _, one := range list {
			if e.begin(one.ID) {
				e.d.background.Go(func() { e.do(ctx, one) })
			}
		}
	})
}

// begin says whether an errand is not under way yet.
func (e *errands) begin(id int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.doing[id] {
		return false
	}
	e.doing[id] = true
	return true
}

func (e *errands) do(ctx context.Context, one store.Errand) {
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.doing, one.ID)
	}()
	var want errand
	var out errandAnswer
	err := json.Unmarshal(one.Text, &want)
	if err == nil {
		if !e.d.shards.owns(want.Source) {
			return // it has changed hands: its new owner does it
		}
		out, err = e.carryOut(ctx, want)
	}
	if err != nil {
		out.Error = err.Error()
		for name, kind := range errandKinds() {
			if errors.Is(err, kind) {
				out.Kind = name
			}
		}
	}
	text, err := json.Marshal(out)
	if err == nil {
		err = e.desk.Answer(ctx, one.ID, text)
	}
	if err != nil {
		e.d.opts.Log.WarnContext(ctx, "another replica asked for something, and does not hear what came of it", "source", want.Source, "action", want.Verb, "err", err)
	}
}

func (e *errands) carryOut(ctx context.Context, want errand) (out errandAnswer, err error) {
	v := e.d.view()
	switch verb := admin.Verb(want.Verb); verb {
	case verbBackfill:
		b := admin.Backfill{Source: want.Source, To: want.To, Keys: want.Keys, Where: want.Where, Rate: want.Rate}
		out.Backfilled, err = v.Backfill(ctx, b, admin.BackfillStep(want.Step))
	case admin.Rekey, admin.Reset:
		out.Edited, err = v.Edit(ctx, admin.Edit{Verb: verb, Source: want.Source, Level: want.Level}, want.Plan)
	default:
		err = v.Act(ctx, admin.Action{Verb: verb, Source: want.Source})
	}
	return out, err
}
