package poller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
)

// details asks for the details of new and changed records while the listing is read, in batches, and puts what came of it
// before the scan. What is not asked for, or does not answer, stays as it is known: the next poll will find it changed again.
type details struct {
	w     *walk
	conf  *Detail
	asked map[differ.Hash]uint64 // raw fingerprints, of this poll

	failing map[differ.Hash]bool   // of this poll and of earlier ones
	joining map[differ.Hash]uint64 // that are followed since an edit only: fingerprints of their entries
	aside   []pending              // records that failed in earlier polls

	budget  int // questions that may still be asked
	fetched int
	left    int // records for which there was no question any more
	failed  int
	absent  int   // whose address says that there is nothing
	row     int   // failures in a row
	stopped bool  // more questions are of no use
	first   error // why one failed; its record is named in it
}

// newDetails is nil when the records of a listing are all there is.
func newDetails(w *walk) *details {
	conf := &w.p.source.Detail
	if conf.URL == "" {
		return nil
	}
	d := &details{w: w, conf: conf, asked: map[differ.Hash]uint64{}, failing: map[differ.Hash]bool{}, joining: map[differ.Hash]uint64{}, budget: conf.Max}
	maps.Copy(d.failing, w.p.known.failing)
	if w.scan.watch != nil {
		const enough = 20
		d.budget = min(d.budget, enough)
	}
	return d
}

// want takes a record on whose detail is needed.
func (d *details) want(kind differ.Kind, hash differ.Hash, raw uint64, rec differ.Record) error {
	s := d.w.scan
	if _, again := d.asked[hash]; again {
		return s.again(hash, raw, 0, rec)
	}
	known, _, _ := s.index.Get(hash)
	unread, edited := s.unread(known), kind == differ.Updated && s.p.onlyEdited(known.Raw, raw)
	if unread != nil && !edited && kind == differ.Updated {
		if marked := unread.marks(known.Raw) | markWaits; marked != known.Raw { // until its detail is there
			if err := s.reprint(hash, marked); err != nil {
				return err
			}
		}
	}
	failing := d.w.p.known.failing[hash]
	if !failing && d.ends() {
		d.left++
		return nil
	}
	d.asked[hash] = raw
	c := pending{
		kind: kind, quiet: s.quiet, unread: unread, key: bytes.Clone(s.key), body: bytes.Clone(rec.Raw),
		Known: Known{Hash: hash, Print: differ.Print{Raw: raw, Canon: known.Canon}},
	}
	if edited || kind == differ.Created && s.joins(hash, rec.Raw) {
		c.quiet, c.edited = true, true
	}
	if c.edited && kind == differ.Created {
		d.joining[hash] = s.p.hasher.Canon(s.p.shape, rec.Raw)
	}
	const most = 1000
	switch {
	case failing && len(d.aside) == most:
		d.lack(&c)
		return nil
	case failing:
		d.aside = append(d.aside, c)
		return nil
	}
	return d.queue(c)
}

// ends says that no more questions are asked in this poll.
func (d *details) ends() bool {
	d.stopped = d.stopped || d.budget == 0 || !d.w.hasTime()
	return d.stopped
}

func (d *details) queue(c pending) error {
	s := d.w.scan
	d.budget--
	s.pending = append(s.pending, c)
	if s.waiting += len(c.body); len(s.pending) >= 4*d.conf.Concurrency || s.waiting >= mostBytes {
		return s.flush()
	}
	return nil
}

// resume asks for what failed in earlier polls, behind all others.
func (d *details) resume() error {
	if d == nil {
		return nil
	}
	aside := d.aside
	d.aside = nil
	for _, c := range aside {
		if d.ends() {
			d.lack(&c)
			continue
		}
		if err := d.queue(c); err != nil {
			return err
		}
	}
	return nil
}

// known says whether a record that is seen again is as it was seen before, or nobody can tell because it was not taken on.
func (d *details) known(hash differ.Hash, raw uint64) bool {
	if d == nil {
		return false
	}
	earlier, asked := d.asked[hash]
	return asked && earlier == raw || !asked && d.left > 0
}

// asks says whether the list showed a record whose detail was asked for.
func (d *details) asks(hash differ.Hash) bool {
	if d == nil {
		return false
	}
	_, asked := d.asked[hash]
	return asked
}

// particular is what came of the question for one detail.
type particular struct {
	merged   []byte
	gone     bool
	later    bool // the server wants to be left alone
	attempts int
	bytes    int64
	err      error
}

// fill replaces the pending records by those with their details. It drops those without.
func (d *details) fill(list []pending) ([]pending, error) {
	if d == nil || len(list) == 0 {
		return list, nil
	}
	w, got := d.w, make([]particular, len(list))
	if err := w.open.setAside(); err != nil {
		return nil, err
	}
	sideBySide(len(list), d.conf.Concurrency, func(i int) { got[i] = w.p.detailOf(w.scan.ctx, w.values, &list[i]) })
	if err := context.Cause(w.scan.ctx); err != nil {
		return nil, err
	}
	filled := list[:0]
	for i := range list {
		w.result.Requests += got[i].attempts
		w.result.Bytes += got[i].bytes
		if d.take(&list[i], &got[i]) {
			filled = append(filled, list[i])
		}
	}
	d.stopped = d.stopped || d.row >= patienceInRow || w.result.Bytes > int64(w.p.source.Response.MaxScan)
	return filled, nil
}

// take says whether a record is complete now.
func (d *details) take(c *pending, got *particular) bool {
	switch {
	case got.later:
		d.left, d.stopped = d.left+1, d.w.putOff(got.err)
		d.because(c, got.err)
		return false
	case got.gone:
		return d.takeAbsent(c, got)
	case got.err != nil:
		d.fail(c, got.err)
		return false
	}
	d.fetched, d.row = d.fetched+1, 0
	d.w.result.Details++
	return d.complete(c, got.merged)
}

func (d *details) because(c *pending, err error) {
	if d.first == nil {
		d.first = fmt.Errorf("record %s: %w", c.key, err)
	}
}

// lack counts a record that is not completed, and is to be listed again.
func (d *details) lack(c *pending) {
	d.failed++
	d.w.scan.gauge.owe(c.body)
}

func (d *details) fail(c *pending, err error) {
	d.lack(c)
	d.row++
	d.failing[c.Hash] = true
	d.because(c, err)
}

func (d *details) takeAbsent(c *pending, got *particular) bool {
	s := d.w.scan
	d.row = 0
	switch d.conf.On404 {
	case "list":
		return d.complete(c, c.body)
	case "fail":
		d.fail(c, got.err)
	case "deleted":
		d.forgo(c.Hash)
		s.touch(c.Hash)
		if print, missing, ok := s.index.Get(c.Hash); ok {
			s.index.Put(c.Hash, print, missing) // as if the listing had lacked it
		}
	default:
		d.forgo(c.Hash)
	}
	return false
}

// forgo counts a record that has no detail. One that comes some day is news, also of a record that an edit let in.
func (d *details) forgo(hash differ.Hash) {
	d.absent++
	delete(d.joining, hash)
	d.w.p.known.leaves(hash)
}

// complete notes the record as it is with its detail, and says whether that is a change.
func (d *details) complete(c *pending, merged []byte) bool {
	s := d.w.scan
	canon := s.p.hasher.Canon(s.p.shape, merged)
	s.touch(c.Hash)
	s.p.known.dirty = true
	if c.kind == differ.Updated && canon == c.Print.Canon {
		c.kind = 0
		s.counts.Ignored++
	}
	c.body, c.Print.Canon = merged, canon
	s.index.Set(c.Hash, c.Print)
	switch {
	case c.edited:
	case c.kind == differ.Created:
		s.counts.Created++
	case c.kind == differ.Updated:
		s.counts.Updated++
	}
	return true
}

func (d *details) countLeft() int {
	if d == nil {
		return 0
	}
	return d.left
}

func (d *details) countFailed() int {
	if d == nil {
		return 0
	}
	return d.failed
}

// waiting says that some records are not taken in as they are.
func (d *details) waiting() bool { return d.countLeft()+d.countFailed() > 0 }

// report says what is still to be done, and whether the poll must go on with it.
func (d *details) report() (text string, unfinished bool) {
	if d == nil {
		return "", false
	}
	if d.w.p.known.failing = nil; d.left > 0 {
		d.w.p.known.failing = d.failing
	}
	if d.left+d.failed+d.absent == 0 {
		return "", false
	}
	d.w.scan.retry = true
	switch {
	case d.left > 0:
		text = fmt.Sprintf("%d details were fetched, %d wait for the next poll", d.fetched, d.left)
		if d.failed > 0 {
			text += fmt.Sprintf(", %d failed", d.failed)
		}
	case d.failed > 0:
		text = fmt.Sprintf("%d of %d details could not be fetched; these records stay as they are known", d.failed, d.failed+d.fetched)
	default:
		return "", false
	}
	if d.first != nil {
		text += " (" + d.w.p.opts.Secrets.Redact(d.first.Error()) + ")"
	}
	return text, d.left > 0 || d.w.scan.index.Len() == 0
}

// detailOf asks for the detail of one record and merges it with what the listing said.
func (p *Poller) detailOf(ctx context.Context, v values, c *pending) particular {
	v.key, v.record = string(c.key), c.body
	resp, _, err := p.ask(ctx, p.detail, v)
	if err != nil {
		_, later := errors.AsType[*outbound.DeferredError](err)
		return particular{err: err, later: later, attempts: attemptsOf(err)}
	}
	defer resp.Body.Close()
	got := particular{attempts: resp.Attempts}
	switch {
	case isGone(resp.Status):
		got.gone, got.err = true, p.refusal(resp)
		return got
	case resp.Status < 200 || resp.Status > 299:
		got.err = p.refusal(resp)
		return got
	}
	body := &countedBody{body: resp.Body}
	record, err := p.readSingle(resp, body, p.source.Detail.Record)
	got.bytes = body.count
	if got.err = err; err == nil {
		got.merged, got.err = p.source.Detail.merge(c.body, record)
	}
	return got
}
