package poller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/differ"
)

// conclude decides what a listing that was read up to its end means, and applies it.
func (p *Poller) conclude(ctx context.Context, w *walk, r *Result) error {
	s := w.scan
	if s.counts.Skipped > 0 && s.counts.Skipped == s.counts.Records {
		return newFault("set key to what identifies a record; see deltahook try "+p.source.Name, "%s", s.skippedMessage())
	}
	if err := s.last(); err != nil {
		return err
	}
	r.Verdict = Complete
	if r.Message = w.doubt(); r.Message != "" {
		r.Verdict = Partial
		r.Hint = "nothing is taken for deleted by this poll"
		if p.source.Pages.Kind == "offset" && p.source.Pages.Overlap == 0 {
			r.Hint += "; pages.overlap lets a list change while it is read"
		}
	}
	s.proven = r.Verdict == Complete && w.reach.full
	if !w.reach.full {
		r.Verdict = Partial
	}
	w.remark()
	w.garbled()
	if err := w.dismiss(); err != nil {
		return err
	}
	if err := w.miss(); err != nil {
		return err
	}
	w.finish(r)
	s.counts.Deleted = len(s.deleted)
	r.fill(s)
	if p.known.state.Held.waitsFor(s.proven) && s.watch == nil {
		p.postpone(r)
		return nil
	}
	hold := p.guard(s)
	if hold != nil && s.watch == nil {
		return p.hold(ctx, r, *hold)
	}
	if hold == nil && p.renamed() { // only a trial gets here
		hold = p.identityHold()
	}
	if err := s.settle(); err != nil {
		return err
	}
	if err := p.apply(ctx, w, r); err != nil || s.watch == nil {
		return err
	}
	// A trial shows what a held poll would do, too.
	if hold != nil {
		r.Verdict, r.Message = Held, hold.Message
	}
	return nil
}

// garbled says on the result that what is sent of a record will not be JSON to those who read it: bytes pass as they are.
func (w *walk) garbled() {
	if w.scan.garbled == "" {
		return
	}
	text := fmt.Sprintf("record %q is not valid UTF-8, and receivers may refuse its events: say in response.charset how the answer is written, like \"windows-1252\"", w.scan.garbled)
	w.result.Message = strings.Trim(w.result.Message+"; "+text, "; ")
}

// finish makes a poll partial that read the listing, but not all that belongs to its records.
func (w *walk) finish(r *Result) {
	text, unfinished := w.scan.details.report()
	w.scan.unfinished = w.scan.unfinished || unfinished
	if text != "" {
		r.Message = strings.Trim(r.Message+"; "+text, "; ")
	}
	if w.scan.unfinished || text != "" {
		r.Verdict = Partial
	}
}

// miss finds what is deleted because the listing lacks it.
func (w *walk) miss() error {
	s, p := w.scan, w.p
	if p.source.Deletes.Detect != "scan" || !w.reach.full || !s.proven && (w.parts == nil || len(w.parts.whole) == 0) {
		return nil
	}
	out, err := w.unproven()
	if err != nil {
		return err
	}
	gone := s.survey(p.confirmations(), out)
	if p.verifier != nil && len(gone) > 0 {
		forsaken, others, err := w.forsaken(gone)
		if err != nil {
			return err
		}
		if others, err = w.verify(others); err != nil {
			return err
		}
		gone = slices.Concat(forsaken, others)
	}
	s.deleted = append(s.deleted, gone...)
	s.emptied, s.lost, err = w.emptied(gone)
	return err
}

// forsaken splits off what is gone because of the configuration, as a person has decided: all that is known under another identity, and
// the records of partitions that left. Their own addresses say nothing about that.
func (w *walk) forsaken(hashes []differ.Hash) (forsaken, others []differ.Hash, err error) {
	p := w.p
	if !p.reidentified() {
		return nil, hashes, nil
	}
	left := p.leftPartitions()
	err = w.each(hashes, func(h differ.Hash, key string, _ []byte) {
		if p.known.mixed(p.identity) || slices.Contains(left, p.partitionOf(key)) {
			forsaken = append(forsaken, h)
		} else {
			others = append(others, h)
		}
	})
	return forsaken, others, err
}

// doubt says why a listing that was read up to its end does not prove that what it lacks is gone; empty when it does.
func (w *walk) doubt() string {
	s := w.scan
	switch {
	case w.parts != nil && w.parts.done:
		return w.parts.doubt()
	case s.counts.Skipped > 0:
		return s.skippedMessage()
	case s.endless > 0:
		return fmt.Sprintf("page %d ends with its connection, without a length: it may have been cut off, and %s has no end of its own", s.endless, w.p.source.Response.Format)
	case w.reach.narrowed && w.p.source.Deletes.Detect == "scan":
		return "the listing begins at cursor.start, which those before it did not"
	case w.walker.shifted():
		return "the server's total changed from page to page: the list was changed while it was read"
	case s.seam != nil && s.seam.torn > 0:
		return fmt.Sprintf("page %d shows none of the records before it again: the list was changed while it was read, by more than pages.overlap", s.seam.torn)
	case s.repeated > 0:
		return fmt.Sprintf("records appeared on two pages (%d): the list was changed while it was read", s.repeated)
	}
	return ""
}

// moved says that a part of the list may not have been seen: it was changed while it was read, or may have been cut off.
func (w *walk) moved() bool {
	if w.parts != nil {
		return len(w.parts.broken) > 0
	}
	return w.scan.endless > 0 || w.shaken()
}

// shaken says that the list that was read last was changed while it was read.
func (w *walk) shaken() bool {
	s := w.scan
	return w.walker.shifted() || s.seam != nil && s.seam.torn > 0 || s.repeated > 0
}

// confirmations is how many complete scans in a row must lack a record. A decision confirms at once: a person looked.
func (p *Poller) confirmations() int {
	if p.known.state.Held.decided() {
		return 1
	}
	return p.source.Deletes.Confirm
}

func (r *Result) fill(s *scan) {
	c := &s.counts
	r.Records, r.Created, r.Updated, r.Deleted, r.Skipped, r.Ignored = c.Records, c.Created, c.Updated, c.Deleted, c.Skipped, c.Ignored
	r.Missing = len(s.absent) + s.unclear
	if s.gauge != nil {
		r.Lags = s.gauge.lags
	}
}
