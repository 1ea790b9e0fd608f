package scaffold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/guess"
	"github.com/deltahook/deltahook/poller"
)

// reading is a trial of at most two pages.
type reading struct {
	first map[string][]byte // records of page 1
	fresh int               // records of page 2 that are not on page 1
	again int               // those that are
	pages int
	err   error
	hint  string
}

// more says whether the listing goes on behind what was read.
func (r *reading) more() bool { return errors.Is(r.err, poller.ErrMorePages) }

// read polls once with what was guessed, as the daemon would, up to the second page.
func (d *drafter) read(ctx context.Context, pages *guess.Paging) (*reading, error) {
	if err := d.pause(ctx); err != nil {
		return nil, err
	}
	d.pages = pages
	source, err := d.parse(d.render())
	d.pages = nil
	if err != nil {
		return nil, err
	}
	const enough = 2
	source.Pages.Max, source.Response.MaxBody = enough, mostBytes
	r := &reading{first: map[string][]byte{}}
	page := 0
	trial, err := poller.TryPoll(ctx, *source, d.options(), poller.TryOptions{
		Page: func(number int) { page = number },
		Record: func(key string, body []byte) {
			if _, known := r.first[key]; page <= 1 {
				r.first[key] = bytes.Clone(body)
			} else if known {
				r.again++
			} else {
				r.fresh++
			}
		},
	})
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r.pages, r.err, r.hint = trial.Pages, trial.Err, trial.Hint
	d.requests += trial.Requests
	return r, nil
}

// pause keeps the readings apart, so that what moves by itself has time to move; later tries wait a moment only.
func (d *drafter) pause(ctx context.Context) error {
	timer := time.NewTimer(d.o.Wait)
	defer timer.Stop()
	d.o.Wait /= 3
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tryPages asks for a second page in each way that was proposed, until one brings other records.
func (d *drafter) tryPages(ctx context.Context) error {
	if d.has("pages") {
		return nil
	}
	const most = 4
	var failed []string
	for i := range d.guess.Pages[:min(len(d.guess.Pages), most)] {
		p := &d.guess.Pages[i]
		r, err := d.read(ctx, p)
		if err != nil {
			return err
		}
		if len(r.first) > 0 && d.reading == nil {
			d.reading = r
		}
		ok, why := accepts(p, r)
		d.o.Progress(fmt.Sprintf("tried %s: %s", pagesText(&p.Pages), why))
		if ok {
			d.pages, d.reading = p, r
			d.accepted(p, r, why)
			return nil
		}
		failed = append(failed, pagesText(&p.Pages)+": "+why)
	}
	d.nothingLeadsOn(failed)
	return nil
}

// accepts says whether a trial proves the proposal, or at least does not speak against it.
func accepts(p *guess.Paging, r *reading) (ok bool, why string) {
	switch {
	case r.err != nil && !r.more():
		return false, r.err.Error()
	case r.pages > 1 && r.fresh > 0 && r.again == 0:
		return true, fmt.Sprintf("page 2 brought %d records, none of them from page 1", r.fresh)
	case r.pages > 1 && r.fresh > r.again:
		return true, fmt.Sprintf("page 2 brought %d records, %d of page 1 came again", r.fresh, r.again)
	case r.pages > 1 && r.again > 0:
		return false, "page 2 has the records of page 1"
	case r.pages > 1:
		return true, "page 2 came and is empty"
	case p.Told:
		return true, "there is only one page now"
	}
	return false, "it ended after one page"
}

func (d *drafter) accepted(p *guess.Paging, r *reading, why string) {
	if r.fresh > 0 {
		d.note(guess.AboutPages, "%s; tried: %s", p.Why, why)
		if r.again > 0 {
			d.unsure(guess.AboutPages, "some records came on both pages: the list moved while it was read, or the pages overlap")
		}
		return
	}
	d.unsure(guess.AboutPages, "%s, but %s: it could not be proved that this leads on", p.Why, why)
}

// nothingLeadsOn warns of a first page that may be taken for the whole list.
func (d *drafter) nothingLeadsOn(failed []string) {
	told := false
	for _, p := range d.guess.Pages {
		told = told || p.Told
	}
	switch {
	case told:
		d.unsure(guess.AboutPages, "the answer speaks of more pages, but nothing that was tried led on (%s): see the API's documentation and set pages, else only the first page is followed", strings.Join(failed, "; "))
	case d.guess.Total > int64(d.guess.Count):
		d.unsure(guess.AboutPages, "the answer says that there are %d records, and %d came: see the API's documentation and set pages, else only these are followed", d.guess.Total, d.guess.Count)
	case d.guess.More:
		d.unsure(guess.AboutPages, "the answer says that there are more records: see the API's documentation and set pages, else only these are followed")
	case guess.Round(d.guess.Count) && !d.guess.Single:
		d.unsure(guess.AboutPages, "%d records is a round number: if the API gives pages, set pages, else only the first one is followed", d.guess.Count)
	}
}
