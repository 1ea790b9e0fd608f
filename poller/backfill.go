package poller

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// ErrBackfilling says that a backfill of the source is under way.
var ErrBackfilling = errors.New("a backfill of the source is under way")

// errUnread says that what is stored is not what the configuration is about.
var errUnread = errors.New("what counts of the records was edited: it goes on after the next poll")

// Backfill is a backfill as it is stored: what it is to tell of, and how far it is. Each of its steps is a commit, between two
// polls: a snapshot has its place in the sequence of the source like any change, so that it cannot overwrite what is newer.
type Backfill struct {
	To    []string `json:"to,omitempty"`    // webhooks; none: all of the source
	Keys  []string `json:"keys,omitempty"`  // records; none: all
	Where []string `json:"where,omitempty"` // conditions on a record; all must hold
	Rate  string   `json:"rate,omitempty"`  // snapshots at most; empty: as fast as they are delivered

	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"` // zero: it is under way
	Stopped  bool      `json:"stopped,omitempty"` // it was ended before all was told
	Total    int64     `json:"total"`             // records to look at, when it began
	Looked   int64     `json:"looked"`            // of them, so far
	Told     int64     `json:"told"`              // snapshots so far
	// After is the hash of the key that was looked at last, in hex: records are told of in the order of their hashes. Empty: none yet.
	After string `json:"after,omitempty"`
}

// Active says that it is under way.
func (b *Backfill) Active() bool { return b != nil && b.Finished.IsZero() }

// anew makes it begin from the start: the records have other hashes now.
func (b *Backfill) anew() *Backfill {
	if !b.Active() {
		return b
	}
	next := *b
	next.After, next.Looked = "", 0
	return &next
}

// Backfilling is what a backfill would tell.
type Backfilling struct {
	Records   int64            // that match
	ByWebhook map[string]int64 // snapshots
	Bytes     int64            // of the snapshots, for all webhooks
}

// PlanBackfill says what a backfill would tell. A poll may run meanwhile.
func (p *Poller) PlanBackfill(ctx context.Context, b Backfill) (Backfilling, error) {
	out := Backfilling{ByWebhook: map[string]int64{}}
	r, err := p.newBackfiller(&b)
	if err != nil {
		return out, err
	}
	hashes, err := r.todo(ctx)
	if err != nil {
		return out, err
	}
	for part := range slices.Chunk(hashes, backfillPage) {
		list, err := r.read(ctx, part)
		if err != nil {
			return out, err
		}
		for i := range list {
			event, err := r.snapshot(&list[i], 1)
			if err != nil {
				return out, err
			}
			out.Records++
			for _, c := range event.To {
				out.ByWebhook[c.Webhook]++
				out.Bytes += int64(max(len(c.Body), len(event.Body)))
			}
		}
	}
	return out, nil
}

// StartBackfill makes a backfill the one of the source, durably; StepBackfill carries it out. ErrBackfilling when there is one.
func (p *Poller) StartBackfill(ctx context.Context, b Backfill) (Backfill, error) {
	if _, err := p.newBackfiller(&b); err != nil {
		return b, err
	}
	b = Backfill{To: b.To, Keys: b.Keys, Where: b.Where, Rate: b.Rate, Started: p.opts.Now().UTC()}
	return b, p.edit(ctx, func(s *State) error {
		if s.Backfill.Active() {
			return fmt.Errorf("%w since %s", ErrBackfilling, s.Backfill.Started.Format(time.RFC3339))
		}
		if s.Records == 0 {
			return fmt.Errorf("%w: no records of %s are known", ErrNothing, p.source.Name)
		}
		if b.Total = int64(len(b.Keys)); b.Total == 0 {
			b.Total = s.Records
		}
		s.Backfill = &b
		return nil
	})
}

// StopBackfill ends a backfill. What was told is told.
func (p *Poller) StopBackfill(ctx context.Context) (b Backfill, err error) {
	return b, p.edit(ctx, func(s *State) error {
		if !s.Backfill.Active() {
			return fmt.Errorf("%w: no backfill of %s is under way", ErrNothing, p.source.Name)
		}
		b = *s.Backfill
		b.Finished, b.Stopped = p.opts.Now().UTC(), true
		s.Backfill = &b
		return nil
	})
}

// StepBackfill tells of the next records, at most limit of them, and says how far the backfill is then.
func (p *Poller) StepBackfill(ctx context.Context, limit int) (Backfill, error) {
	if err := p.take(ctx); err != nil {
		return Backfill{}, err
	}
	defer p.giveBack()
	if err := p.load(ctx); err != nil {
		return Backfill{}, err
	}
	state := p.known.state
	if !state.Backfill.Active() {
		p.backfill = nil
		if state.Backfill == nil {
			return Backfill{Finished: p.opts.Now().UTC()}, nil
		}
		return *state.Backfill, nil
	}
	b := *state.Backfill
	if state.Compare != p.compare {
		return b, errUnread
	}
	if state.Edits != nil { // what waits since an edit is marked
		if err := p.loadIndex(ctx); err != nil {
			return b, err
		}
	}
	if p.backfill == nil || !p.backfill.goesOn(&b) {
		r, err := p.newBackfiller(&b)
		if err != nil {
			return b, err
		}
		if r.left, err = r.todo(ctx); err != nil {
			return b, err
		}
		p.backfill = r
	}
	return p.backfill.step(ctx, state, b, limit)
}

// backfiller carries out a backfill. What it keeps in memory can be made anew from the store.
type backfiller struct {
	p      *Poller
	job    Backfill
	where  differ.Conditions
	left   []differ.Hash // in order
	at     time.Time
	events *handover
}

// backfillPage is how many records are read at once; a step ends early at backfillBytes.
const (
	backfillPage  = 25
	backfillBytes = 4 << 20
)

func (p *Poller) newBackfiller(b *Backfill) (*backfiller, error) {
	r := &backfiller{p: p, job: *b}
	if err := r.where.SetStrings(b.Where); err != nil {
		return nil, err
	}
	var rate setting.Rate
	if b.Rate != "" {
		return r, rate.UnmarshalText([]byte(b.Rate))
	}
	return r, nil
}

// goesOn says whether what is in memory is of this backfill, at this place.
func (r *backfiller) goesOn(b *Backfill) bool {
	return r.job.Started.Equal(b.Started) && r.job.After == b.After
}

// todo lists what is to be looked at, in order.
func (r *backfiller) todo(ctx context.Context) ([]differ.Hash, error) {
	var hashes []differ.Hash
	hasher := differ.NewHasher(r.p.opts.Seed) // its own: a poll may run meanwhile
	for _, key := range r.job.Keys {
		hashes = append(hashes, hasher.Key([]byte(key)))
	}
	if len(r.job.Keys) == 0 {
		err := r.p.opts.Ledger.Prints(ctx, r.p.source.Name, func(k Known) bool {
			hashes = append(hashes, k.Hash)
			return ctx.Err() == nil
		})
		if err != nil {
			return nil, r.p.storeFault("the known records cannot be read", err)
		}
	}
	compare := func(a, b differ.Hash) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(hashes, compare)
	hashes = slices.Compact(hashes)
	after, err := hex.DecodeString(r.job.After)
	if err != nil || len(after) == 0 {
		return hashes, err
	}
	from, found := slices.BinarySearchFunc(hashes, differ.Hash(after), compare)
	if found {
		from++
	}
	return hashes[from:], ctx.Err()
}

// read gives those of the records that are to be told of, in order.
func (r *backfiller) read(ctx context.Context, hashes []differ.Hash) ([]entry, error) {
	var list []entry
	err := r.p.opts.Ledger.Bodies(ctx, r.p.source.Name, hashes, func(h differ.Hash, key string, body []byte) error {
		if body != nil && r.where.Match(body) {
			list = append(list, entry{known: Known{Hash: h}, key: []byte(key), body: bytes.Clone(body)})
		}
		return nil
	})
	if err != nil {
		return nil, r.p.storeFault("the stored records cannot be read", err)
	}
	slices.SortFunc(list, func(a, b entry) int { return bytes.Compare(a.known.Hash[:], b.known.Hash[:]) })
	return list, nil
}

// snapshot makes the event that tells of a record.
func (r *backfiller) snapshot(e *entry, sequence int64) (*Event, error) {
	change := differ.Change{Kind: differ.Snapshot, Key: string(e.key), Record: r.p.shape.Project(nil, e.body)}
	event, err := r.p.opts.Outlet.Event(r.p.source, sequence, r.at, change)
	if err == nil && len(r.job.To) > 0 {
		event.To = slices.DeleteFunc(event.To, func(c Copy) bool { return !slices.Contains(r.job.To, c.Webhook) })
	}
	return event, err
}

// step commits the next snapshots with the place that the backfill has come to.
func (r *backfiller) step(ctx context.Context, state State, b Backfill, limit int) (Backfill, error) {
	var list []entry
	looked, size := 0, 0
	for looked < len(r.left) && looked < limit && size < backfillBytes {
		part := r.left[looked:min(looked+min(backfillPage, limit-looked), len(r.left))]
		found, err := r.read(ctx, part)
		if err != nil {
			return b, err
		}
		looked += len(part)
		for i := range found {
			size += len(found[i].body)
		}
		list = append(list, found...)
	}
	b.Looked += int64(looked)
	if looked > 0 {
		b.After = hex.EncodeToString(r.left[looked-1][:])
	}
	if looked == len(r.left) {
		b.Finished = r.p.opts.Now().UTC()
	}
	r.at, r.events = r.p.opts.Now(), &handover{}
	writes := r.writes(list, state.Sequence)
	b.Told += int64(len(list))
	state.Sequence += int64(len(list))
	state.Backfill = &b
	if err := r.p.commit(ctx, Commit{State: state, Writes: writes}); err != nil {
		r.p.backfill = nil
		return b, err
	}
	r.left, r.job = r.left[looked:], b
	if len(list) > 0 {
		r.p.opts.Outlet.Committed(r.p.source.Name, r.events.list, !r.events.overflow)
	}
	return b, nil
}

// writes yields the snapshots. An event that no webhook takes is told all the same: it is in the list of events.
func (r *backfiller) writes(list []entry, sequence int64) iter.Seq2[Write, error] {
	return func(yield func(Write, error) bool) {
		for i := range list {
			sequence++
			event, err := r.snapshot(&list[i], sequence)
			if err != nil {
				yield(Write{}, fmt.Errorf("snapshot of record %q: %w", list[i].key, err))
				return
			}
			r.events.add(event)
			w := Write{Known: list[i].known, Key: string(list[i].key), Untouched: true, Event: event}
			r.told(&w)
			if !yield(w, nil) {
				return
			}
		}
	}
}

// told ends the mark of a record: somebody has been told what is stored of it, and what differs from that is news. It has no
// fingerprint then, so that it is looked at when it is listed: perhaps it is followed no more.
func (r *backfiller) told(w *Write) {
	if r.p.known.state.Edits == nil {
		return
	}
	print, missing, known := r.p.known.index.Get(w.Hash)
	if !known || print.Raw <= rawMask {
		return
	}
	print.Raw = 0
	r.p.known.index.SetRaw(w.Hash, print.Raw)
	w.Known, w.Untouched = Known{Hash: w.Hash, Print: print, Missing: missing}, false
}
