package poller

import (
	"fmt"
	"slices"
	"time"

	"github.com/deltahook/deltahook/internal/outbound"
)

// reach is what part of the listing a poll asks for.
type reach struct {
	full  bool // all of it, from begin
	begin mark // where the listing of the source begins; none: with the first record
	from  mark // that is asked for; none: from the beginning
	until mark // that is asked for; none: up to the end
	more  bool // until lies in the past: another window is behind it
	anew  bool // all records are read again, at once or in windows: there is no watermark, or it says nothing
	ahead bool // a window before this one must be read again: the watermark stays there
	// narrowed says that a whole listing is asked from a beginning that those before it did not have: it proves nothing.
	narrowed bool
	notice   string // for people: why this poll is a whole listing
}

// reach decides what to ask for now.
func (p *Poller) reach(now time.Time) (reach, error) {
	c := p.cursor
	if c == nil {
		return reach{full: true}, nil
	}
	s, kind := p.known.cursor, c.format.kind
	r := reach{begin: kind.parse(s.Start)}
	if r.begin.none() && c.conf.Start != "" && (p.known.state.Baselined.IsZero() || c.embeds) {
		begin, err := c.begins(now)
		if err != nil {
			return r, err
		}
		r.begin, r.narrowed = begin, !p.known.state.Baselined.IsZero()
	}
	from := kind.parse(s.Watermark)
	whole := p.wantsWhole(now)
	anew := whole || p.wantsAnew(s, from, now, &r)
	// Where our clock is behind the server's, a poll that stopped at our time would not see what changed since. But no window is
	// cut off by another clock than ours: one that shows a day of the far future must not make thousands of them.
	limit, end := c.limit(now), c.limit(now.Add(p.behind))
	if whole || anew && (c.conf.Window == 0 || r.begin.none()) {
		r.full, r.anew, r.from, r.until = true, anew && !whole, r.begin, end
		return r, nil
	}
	if r.anew = anew; anew {
		from = r.begin
	}
	if ahead := p.known.ahead; !ahead.none() {
		from, r.ahead = ahead, true
	}
	r.window(c, from, limit, end)
	return r, nil
}

// limit is where a poll stops: what is later may not be complete yet.
func (c *cursor) limit(now time.Time) mark {
	if c.format.kind != timeMarks {
		return mark{}
	}
	return mark{at: now.Add(-c.conf.Lag.Std())}
}

// window asks for what comes behind a mark, up to the end: what is as late as it, too, and what came a little before. When the limit
// is farther away than a window, it is the next window that is asked for.
func (r *reach) window(c *cursor, from, limit, end mark) {
	r.from, r.until = from, end
	if c.format.kind != timeMarks {
		return
	}
	r.from = timeMarks.later(r.begin, mark{at: from.at.Add(-c.conf.Overlap.Std())})
	if next := from.at.Add(c.conf.Window.Std()); c.conf.Window > 0 && next.Before(limit.at) {
		r.until, r.more = mark{at: next}, true
	}
}

// wantsWhole says whether only a whole listing in one walk will do.
func (p *Poller) wantsWhole(now time.Time) bool {
	m := p.known
	s, held := &m.cursor, m.state.Held
	return p.reidentified() || held != nil && !held.Partial || !s.Full.IsZero() && (p.cursor.due(s.Full, now) || p.comparesAnew())
}

// comparesAnew says that more or less of the records is compared than before an edit. What only the edit brings to light is to be
// read at once: in the next whole listing it would look like news.
func (p *Poller) comparesAnew() bool {
	return p.cursor.conf.FullScan != "" && len(p.known.since("")) > 0
}

// wantsAnew says whether all records are to be read again: there is no watermark, it is too old, other records are followed than before,
// or more or less of them is compared. (Where there are whole listings now and then, that asks for one. Partitions are asked for each as
// a whole.)
func (p *Poller) wantsAnew(s cursorState, from mark, now time.Time, r *reach) bool {
	edit, retention := p.known.edit(), p.cursor.conf.Retention.Std()
	switch {
	case from.none(), edit != nil && (edit.other || p.cursor.conf.FullScan == "" && !p.source.Partitions.used()), !slices.Contains(p.known.state.formerDetails(), p.details):
		return true
	case retention > 0 && now.Sub(from.at) > retention && now.Sub(time.Unix(s.Anew, 0)) > retention:
		r.notice = fmt.Sprintf("the watermark %s is older than what the API keeps (cursor.retention = %q): what changed in between may be missing, all records are read again",
			s.Watermark, p.cursor.conf.Retention)
		return true
	}
	return false
}

// fill sets what of the request depends on the reach.
func (r *reach) fill(c *cursor, v *values) {
	if !r.from.none() {
		v.cursor = c.sends.write(r.from)
		if c.conf.Param != "" {
			v.params = append(v.params, pageParam{c.conf.Param, v.cursor})
		}
	}
	if !r.until.none() {
		v.until = c.sends.write(r.until)
		if c.conf.Until != "" && !r.full {
			v.params = append(v.params, pageParam{c.conf.Until, v.until})
		}
	}
}

// aim makes the walk ask for its reach.
func (w *walk) aim() {
	c := w.p.cursor
	if c == nil {
		return
	}
	w.reach.fill(c, &w.values)
	w.scan.gauge = &gauge{field: c.conf.Field, format: &c.format, began: w.result.At, all: !w.reach.full || w.reach.anew || w.p.known.cursor.Watermark == ""}
	w.result.Notice = w.reach.notice
	w.result.From = w.reach.from.String()
	if !w.reach.full {
		w.result.Mode = Incremental
	}
}

// dated notes the server's clock, or ours when it does not say.
func (w *walk) dated(resp *outbound.Response) {
	at, now := resp.Date, w.p.opts.Now()
	if at.IsZero() {
		at = now
	} else {
		w.p.behind = max(at.Sub(now), 0)
	}
	w.scan.gauge.dated(at)
}

// remark says on the result what is to be known about the cursor.
func (w *walk) remark() {
	if w.p.cursor == nil {
		return
	}
	for _, text := range []string{w.reach.notice, w.scan.gauge.complaint()} {
		if text == "" {
			continue
		}
		if w.result.Message != "" {
			w.result.Message += "; "
		}
		w.result.Message += text
	}
}

// advance gives the state of the cursor after a walk that was read to its end, and whether it must be stored even when nothing
// else is. A list that moved while it was read does not move the watermark.
func (w *walk) advance(at time.Time, finished bool) (s cursorState, must bool) {
	c, was := w.p.cursor, w.p.known.cursor
	if c == nil {
		return was, false
	}
	s = was
	kind, r := c.format.kind, &w.reach
	if (r.full || r.anew) && !r.narrowed {
		s.Start = r.begin.String()
	}
	owed, moved := w.owed(), w.moved() && (w.parts == nil || !r.full) // a list that a whole listing did not read is asked for as a whole
	if r.ahead || moved || w.scan.details.waiting() && owed.none() {  // what was not seen or not completed must be listed again
		if r.anew {
			s.Watermark = ""
		}
		w.stepOver()
		return s, s != was
	}
	base := kind.parse(was.Watermark)
	if r.anew {
		base = r.begin
	}
	top := kind.later(base, w.reached())
	if r.more {
		// The window lies in the past: nothing comes into it any more, unless only our clock says so.
		top = kind.later(base, w.settledBy(r.until))
		w.more = top == r.until
	}
	kept := w.kept(top)
	if !owed.none() && owed.at.Before(top.at) {
		kept = owed
	}
	s.Watermark = kept.String()
	if s.Anew = 0; w.more && (r.anew || was.Anew > 0) {
		s.Anew = at.Unix()
	}
	if finished && !w.more && (s.Full.IsZero() || r.full && c.due(s.Full, at)) {
		s.Full = at
	}
	return s, s != was && (r.full || r.more || kept != top || !s.Full.Equal(was.Full) || s.Anew != was.Anew)
}

// owed gives from where the next poll has to ask, so that the records whose details failed are listed again; none: there are none, or
// nobody knows.
func (w *walk) owed() mark {
	s, c := w.scan, w.p.cursor.conf
	if s.unfinished || s.details.countFailed() == 0 || c.Window > 0 || c.Overlap == 0 || s.gauge.vague {
		return mark{}
	}
	return mark{at: s.gauge.owed}
}

// lastWindow says that the last one of the windows was read in which all records are read anew.
func (w *walk) lastWindow() bool {
	r := &w.reach
	return (r.anew || w.p.known.cursor.Anew > 0) && !r.full && !r.more && !r.ahead && !w.moved()
}

// stepOver goes on with the next window, although this one or one before it must be read again: a record whose detail fails for
// good must not keep all that is later from being seen. Behind the last window it begins again at the watermark.
func (w *walk) stepOver() {
	switch end := w.settledBy(w.reach.until); {
	case !w.reach.more:
	case w.scan.unfinished:
		w.ahead = w.p.known.ahead
	default:
		if w.more = end == w.reach.until; w.more {
			w.ahead = end
		}
	}
}

// reached gives how far the records of the walk go, less what upstream may still add there.
func (w *walk) reached() mark {
	m := w.scan.gauge.reached()
	if w.p.cursor.format.kind != timeMarks || m.none() {
		return m
	}
	return w.settledBy(m)
}

// settledBy gives a time, or the one that the server's clock and cursor.lag allow.
func (w *walk) settledBy(m mark) mark {
	if most := w.scan.gauge.ceiling.Add(-w.p.cursor.conf.Lag.Std()); m.at.After(most) {
		return mark{at: most}
	}
	return m
}

// kept moves a watermark on that nothing has changed for long, before it is too old to be asked for.
func (w *walk) kept(top mark) mark {
	retention, now := w.p.cursor.conf.Retention.Std(), w.scan.gauge.ceiling
	if retention > 0 && !w.more && !top.none() && now.Sub(top.at) > retention/2 {
		return w.settledBy(mark{at: now.Add(-retention / 4)})
	}
	return top
}
