package poller

import (
	"fmt"
	"time"

	"github.com/deltahook/deltahook/differ"
)

// gauge finds the latest value of cursor.field among the records of a walk. What is later than the server's own clock is no
// measure of how far the source was read: one record of the year 2099 would hide all others.
type gauge struct {
	field   differ.Path
	format  *markFormat
	all     bool      // look at each record; else only at those that are not as known: the others were looked at before
	ceiling time.Time // zero: none

	top   mark
	ahead mark   // the latest beyond ceiling
	odd   string // the first value that is no mark

	owed  time.Time // the earliest of the records whose details failed
	vague bool      // one of them has none

	began time.Time       // of the poll
	lags  []time.Duration // from the values of changed records to the poll, the first ones
}

// mostLags is how many lags are kept of one poll.
const mostLags = 100

// delay notes how long ago upstream changed a record whose change is found now.
func (g *gauge) delay(body []byte) {
	if g == nil || g.format.kind != timeMarks || len(g.lags) >= mostLags {
		return
	}
	if m, ok := g.format.read(g.field.Get(body)); ok && !m.none() {
		g.lags = append(g.lags, max(g.began.Sub(m.at), 0))
	}
}

// see looks at a record of the walk.
func (g *gauge) see(body []byte) {
	if g != nil && g.all {
		g.read(body)
	}
}

// news looks at a record that is not as known.
func (g *gauge) news(body []byte) {
	if g != nil && !g.all {
		g.read(body)
	}
}

func (g *gauge) read(body []byte) {
	v := g.field.Get(body)
	if kind := v.Kind(); kind == differ.Missing || kind == differ.Null {
		return
	}
	m, ok := g.format.read(v)
	kind := g.format.kind
	switch {
	case !ok:
		if g.odd == "" {
			g.odd = clip(string(v.Raw))
		}
	case kind == timeMarks && !g.ceiling.IsZero() && m.at.After(g.ceiling):
		g.ahead = kind.later(g.ahead, m)
	default:
		g.top = kind.later(g.top, m)
	}
}

// owe notes a record that is to be listed again.
func (g *gauge) owe(body []byte) {
	if g == nil {
		return
	}
	m, ok := g.format.read(g.field.Get(body))
	if g.vague = g.vague || !ok || m.at.IsZero(); g.owed.IsZero() || m.at.Before(g.owed) {
		g.owed = m.at
	}
}

// dated notes what the server's clock says; the first answer of a walk counts. Its Date has no fractions.
func (g *gauge) dated(at time.Time) {
	if g != nil && g.ceiling.IsZero() {
		g.ceiling = at.Add(time.Second)
	}
}

// reached gives how far the walk has come. When all values are ahead of the server's clock, that clock is the measure.
func (g *gauge) reached() mark {
	if g.top.none() && !g.ahead.none() {
		return mark{at: g.ceiling}
	}
	return g.top
}

// tolerance is how far the clock of a database may be ahead of the one of its server without a word.
const tolerance = 5 * time.Minute

// complaint says what is wrong with the values; empty when nothing is.
func (g *gauge) complaint() string {
	switch {
	case g.odd != "":
		return fmt.Sprintf("cursor.field %q is %s in a record, which cursor.format does not describe: that record does not move the watermark", g.field, g.odd)
	case !g.ahead.none() && g.ahead.at.Sub(g.ceiling) > tolerance:
		return fmt.Sprintf("cursor.field %q is %s in a record, ahead of the server's clock: that record does not move the watermark", g.field, g.ahead)
	}
	return ""
}
