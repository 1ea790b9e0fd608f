package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/store"
)

// Story is what is known of one record: where it stands, what happened to it, and why nothing was sent where nothing was.
type Story struct {
	Source    string          `json:"source"`
	Key       string          `json:"key"`
	State     string          `json:"state"` // known, missing, deleted, unknown
	Missing   int             `json:"missing"`
	Confirm   int             `json:"confirm,omitempty"`   // complete scans in a row that must lack a record before it is deleted; 0: none is
	Partition string          `json:"partition,omitempty"` // that it is in
	FirstSeen time.Time       `json:"first_seen,omitzero"` // at the latest
	First     string          `json:"first,omitempty"`     // created, baseline, before: how it was first seen
	LastSeen  time.Time       `json:"last_seen,omitzero"`  // by a poll that saw the whole listing; zero: not known
	Reasons   []Reason        `json:"reasons"`             // what keeps something from being sent, now
	Steps     []Step          `json:"steps"`               // newest first
	Polls     []PastPoll      `json:"polls"`               // the last ones of the source, newest first
	Record    json.RawMessage `json:"record,omitempty"`
}

// Reason is why something was not sent, or is not yet.
type Reason struct {
	Code    string `json:"code"` // see the constants
	Webhook string `json:"webhook,omitempty"`
	Event   string `json:"event,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // the command that helps
}

// The codes of a Reason.
const (
	WhyUnknown     = "unknown"        // there is no record with this key
	WhyNoBaseline  = "no_baseline"    // the source was never read completely
	WhyBaseline    = "baseline"       // the record was there when the source was first read
	WhyHeld        = "held"           // the source waits for a person
	WhySourcePause = "source_paused"  // the source is paused
	WhyFailing     = "failing"        // the source cannot be polled
	WhyIgnored     = "ignored"        // the record changed in what does not count
	WhyMissing     = "missing"        // the record is missing, not often enough yet
	WhyTo          = "to"             // the source does not send to the webhook
	WhyEvents      = "events"         // the webhook does not want the type
	WhyWhen        = "when"           // a condition of the webhook does not hold
	WhyChangedAny  = "changed_any"    // no watched path changed
	WhyLater       = "later"          // the webhook was configured otherwise, or not at all
	WhyCoalesced   = "coalesced"      // another event of the record carries it
	WhyParked      = "parked"         // it waits for a person
	WhyDropped     = "dropped"        // a person dropped it
	WhyPaused      = "webhook_paused" // the webhook is paused
	WhyShut        = "webhook_failing"
	WhyOrder       = "order" // an earlier event of the record is not settled
	WhyRetry       = "retry" // it failed and is tried again
	WhyQueued      = "queued"
)

// Step is one thing that happened to a record.
type Step struct {
	At         time.Time  `json:"at"`
	Event      Event      `json:"event"`
	Change     string     `json:"change"`            // created, updated, deleted, snapshot
	Changed    []string   `json:"changed,omitempty"` // paths
	Deliveries []Delivery `json:"deliveries"`
	Reasons    []Reason   `json:"reasons"` // why a webhook did not get it, or has not yet
}

// maxSteps bounds the events of a story.
const maxSteps = 50

// Glance is what the daemon has in memory of a record.
type Glance struct {
	Raw     uint64 // fingerprint of its bytes
	Missing int
}

// storyteller gathers a story.
type storyteller struct {
	Lists
	source Source
	config *config.Config
	gates  map[string]emitter.GateState
	story  *Story
}

// Story tells of one record of a source; polls are the last ones, newest first. The glance is nil when the daemon is down or polls
// right now.
func (l Lists) Story(ctx context.Context, source Source, key string, polls []PastPoll, glance *Glance) (Story, error) {
	s := Story{Source: source.Name, Key: key, Reasons: []Reason{}, Steps: []Step{}, Polls: polls[:min(len(polls), 10)]}
	t := &storyteller{Lists: l, source: source, config: l.configuration(), story: &s}
	var err error
	if t.gates, err = l.Store.GateStates(ctx); err != nil {
		return s, fmt.Errorf("read the gates of the webhooks: %w", err)
	}
	if err := t.events(ctx); err != nil {
		return s, err
	}
	return s, t.record(ctx, glance, polls)
}

// record says where the record stands.
func (t *storyteller) record(ctx context.Context, glance *Glance, polls []PastPoll) error {
	s := t.story
	if src, ok := t.config.Source(s.Source); ok && src.Deletes.Detect == "scan" {
		s.Confirm = src.Deletes.Confirm
	}
	row, err := t.Store.Record(ctx, s.Source, s.Key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		t.absent()
		t.stuck()
		return nil
	case err != nil:
		return fmt.Errorf("read record %q of %s: %w", s.Key, s.Source, err)
	}
	s.State, s.Missing = "known", row.Missing
	if glance != nil {
		s.Missing = glance.Missing
	}
	if !t.hides() {
		s.Record = row.Body
	}
	t.partition()
	t.first()
	t.seen(polls)
	if s.Missing > 0 {
		s.State = "missing"
		t.now(WhyMissing, "the last %d complete listings lacked it; after %d of them it is deleted (deletes.confirm)", s.Missing, s.Confirm)
	}
	if glance != nil && glance.Raw != row.Print.Raw {
		t.now(WhyIgnored, "upstream sends other bytes than those that are stored, and they differ only in what does not count: fields that ignore leaves out, the order of members, white space")
	}
	t.stuck()
	return nil
}

func (t *storyteller) now(code, format string, args ...any) {
	t.story.Reasons = append(t.story.Reasons, Reason{Code: code, Message: fmt.Sprintf(format, args...)})
}

// absent is a record that is not known now.
func (t *storyteller) absent() {
	s := t.story
	switch {
	case len(s.Steps) > 0 && s.Steps[0].Change == "deleted":
		s.State = "deleted"
		t.first()
	case t.source.Baselined.IsZero():
		s.State = "unknown"
		t.now(WhyNoBaseline, "%s has not been read completely yet", s.Source)
	default:
		s.State = "unknown"
		message := "no record with this key is known: upstream does not list it, or lists it under another key"
		if src, ok := t.config.Source(s.Source); ok && len(src.Where)+len(src.Partitions.Values) > 0 {
			message = "no record with this key is known: where leaves it out, upstream does not list it, or it has another key (the partition is its first part)"
		}
		s.Reasons = append(s.Reasons, Reason{Code: WhyUnknown, Message: message, Hint: "deltahook try " + s.Source + " --show records"})
	}
}

// first says since when the record is known.
func (t *storyteller) first() {
	s := t.story
	for _, step := range slices.Backward(s.Steps) {
		if step.Change == "created" {
			s.FirstSeen, s.First = step.At, "created"
			return
		}
	}
	if len(s.Steps) > 0 {
		s.FirstSeen, s.First = s.Steps[len(s.Steps)-1].At, "before"
		return
	}
	s.FirstSeen, s.First = t.source.Baselined, "baseline"
	if s.State != "deleted" && !t.source.Baselined.IsZero() {
		t.now(WhyBaseline, "it has not changed since the source was first read, or its events are older than store.keep_events")
	}
}

// seen finds the last poll that saw the record for sure: a complete one.
func (t *storyteller) seen(polls []PastPoll) {
	skip := t.story.Missing // so many complete polls lacked it
	for i := range polls {
		if !polls[i].Complete {
			continue
		}
		if skip == 0 {
			t.story.LastSeen = polls[i].At
			return
		}
		skip--
	}
}

func (t *storyteller) partition() {
	src, ok := t.config.Source(t.story.Source)
	var parts []string
	if ok && (len(src.Partitions.Values) > 0 || src.Partitions.Source != "") && json.Unmarshal([]byte(t.story.Key), &parts) == nil && len(parts) > 0 {
		t.story.Partition = parts[0]
	}
}

// stuck says what keeps all records of the source from being looked at.
func (t *storyteller) stuck() {
	switch t.source.State {
	case "held":
		t.now(WhyHeld, "%s is held: %s", t.source.Name, t.source.Note)
	case "paused":
		t.story.Reasons = append(t.story.Reasons, Reason{Code: WhySourcePause, Message: t.source.Name + " is paused", Hint: "deltahook resume " + t.source.Name})
	case "failing":
		t.now(WhyFailing, "%s cannot be polled: %s", t.source.Name, t.source.Note)
	}
}

// events tells what happened, newest first.
func (t *storyteller) events(ctx context.Context) error {
	if t.story.Key == "" { // no record has it, and to the store it means any
		return nil
	}
	rows, err := t.Store.Events(ctx, store.EventQuery{Source: t.story.Source, Key: t.story.Key, Limit: maxSteps})
	if err != nil {
		return fmt.Errorf("list the events of record %q of %s: %w", t.story.Key, t.story.Source, err)
	}
	for i := range rows {
		step, err := t.step(ctx, &rows[i])
		if errors.Is(err, store.ErrNotFound) {
			continue // retention was faster
		}
		if err != nil {
			return err
		}
		t.story.Steps = append(t.story.Steps, step)
	}
	t.waiting()
	return nil
}

// step tells of one event.
func (t *storyteller) step(ctx context.Context, row *store.EventRow) (Step, error) {
	step := Step{At: row.At, Event: eventOf(*row), Reasons: []Reason{}, Deliveries: []Delivery{}}
	full, err := t.Store.Event(ctx, row.ID)
	if err != nil {
		return step, fmt.Errorf("event %s: %w", row.ID, err)
	}
	var body struct {
		Data struct {
			Change  string   `json:"change"`
			Changed []string `json:"changed"`
		} `json:"data"`
	}
	if err := json.Unmarshal(full.Body, &body); err != nil {
		return step, fmt.Errorf("event %s: %w", row.ID, err)
	}
	step.Change, step.Changed = body.Data.Change, body.Data.Changed
	deliveries, err := t.Store.Deliveries(ctx, store.DeliveryQuery{EventID: row.ID})
	if err != nil {
		return step, fmt.Errorf("deliveries of event %s: %w", row.ID, err)
	}
	got := map[string]bool{}
	for _, d := range deliveries {
		got[d.Webhook] = true
		one := deliveryOf(d)
		one.waitFor(t.gates[d.Webhook])
		step.Deliveries = append(step.Deliveries, one)
		if r, ok := t.delivery(&d); ok {
			step.Reasons = append(step.Reasons, r)
		}
	}
	step.Reasons = append(step.Reasons, t.refusals(row.ID, full.Body, got)...)
	return step, nil
}

// delivery says why a delivery did not reach its receiver, or has not yet.
func (t *storyteller) delivery(d *store.DeliveryRow) (Reason, bool) {
	r := Reason{Webhook: d.Webhook, Event: d.EventID}
	gate := t.gates[d.Webhook]
	switch {
	case d.State == store.StateParked:
		r.Code, r.Message, r.Hint = WhyParked, "parked: "+d.Reason, "deltahook replay "+d.EventID
	case d.State == store.StateDropped:
		r.Code, r.Message = WhyDropped, d.Reason
	case d.State == store.StateMerged && d.MergedInto != "":
		r.Code, r.Message = WhyCoalesced, "coalesced: "+d.MergedInto+" carries it, or nothing was left to say"
	case d.State == store.StateMerged:
		r.Code, r.Message = WhyCoalesced, "coalesced: nothing was left to say"
	case d.State != store.StatePending:
		return r, false
	case gate.State == "paused":
		r.Code, r.Message = WhyPaused, d.Webhook+" is paused: "+gate.Reason
		r.Hint = "deltahook resume " + d.Webhook
	case gate.State == "shut":
		r.Code, r.Message = WhyShut, d.Webhook+" is failing: "+gate.Reason
	case d.Attempts > 0:
		r.Code, r.Message = WhyRetry, fmt.Sprintf("attempt %d failed (%s); the next is not before %s", d.Attempts, d.Reason, d.NextAt.UTC().Format(time.RFC3339))
	default:
		r.Code, r.Message = WhyQueued, "it is queued for "+d.Webhook
	}
	return r, true
}

// refusals say why webhooks have no delivery of an event: as far as the present configuration tells.
func (t *storyteller) refusals(id string, body []byte, got map[string]bool) []Reason {
	src, ok := t.config.Source(t.story.Source)
	if !ok {
		return nil
	}
	var list []Reason
	for _, w := range t.config.Webhooks {
		if got[w.Name] {
			continue
		}
		r := Reason{Webhook: w.Name, Event: id}
		switch key := w.Refuses(body); {
		case !src.SendsTo(w.Name):
			r.Code, r.Message = WhyTo, fmt.Sprintf("%s does not send to %s (to)", src.Name, w.Name)
		case key != "":
			r.Code, r.Message = key, fmt.Sprintf("%s does not want it (%s)", w.Name, key)
		default:
			r.Code, r.Message = WhyLater, w.Name+" would get it as it is configured now; it was configured otherwise then, or not at all"
		}
		list = append(list, r)
	}
	return list
}

// waiting marks deliveries that wait for an earlier event of the record: only the oldest one has another reason.
func (t *storyteller) waiting() {
	first := map[string]string{} // webhook → the event that goes first
	for _, step := range slices.Backward(t.story.Steps) {
		for n := range step.Reasons {
			r := &step.Reasons[n]
			if r.Code != WhyQueued && r.Code != WhyRetry {
				continue
			}
			if before, ok := first[r.Webhook]; ok && t.ordered(r.Webhook) {
				r.Code, r.Message = WhyOrder, "it goes after "+before+", which "+r.Webhook+" has not settled"
				continue
			}
			first[r.Webhook] = r.Event
		}
	}
}

func (t *storyteller) ordered(webhook string) bool {
	w, ok := t.config.Webhook(webhook)
	return !ok || w.Order != "none"
}
