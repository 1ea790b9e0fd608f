package poller

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// walker leads through the pages of one listing. It says that the listing is complete only on a positive signal of the
// server; whatever else happens is an error.
type walker interface {
	// next says what to ask after an answer was read; end is true when the answer was the last one. Before the first
	// request it is given nil.
	next(a *answer) (step step, end bool, err error)
	// past says whether an answer with this status, instead of page number, means that the page before was the last one.
	past(number, status int) (bool, error)
	// shifted says that the server gave a sign that the list was changed while it was read.
	shifted() bool
}

// step is one page to ask for.
type step struct {
	url    *url.URL    // nil: the configured one
	page   int         // for {page}
	offset int         // for {offset}
	params []pageParam // of the query, replacing what is there
	header *pageParam

	repeats int        // records that should be on this page and the one before
	body    *pageParam // a path in a JSON body, or a field of a form; the value is JSON
}

// pageParam is a name with its plain value.
type pageParam struct{ name, value string }

// answer is what a walker may know of a page that was read.
type answer struct {
	number   int // from 1
	url      *url.URL
	header   http.Header
	shown    int    // on this page
	records  int    // on this page, behind those of the pages before it
	total    int    // on all pages so far
	last     string // key of the last record of this page
	envelope []byte // the document without its records
}

func newWalker(p Pages) walker {
	switch p.Kind {
	case "link":
		return &linkWalker{end: ending{conf: p, led: true}}
	case "next_url":
		return &nextWalker{end: ending{conf: p, led: true}}
	case "cursor":
		return &cursorWalker{end: ending{conf: p, led: true}, seen: map[string]bool{}}
	case "offset":
		return &offsetWalker{end: ending{conf: p}, first: p.Start.Of(p.Kind)}
	case "last_key":
		return &lastKeyWalker{end: ending{conf: p}}
	case "page":
		return &pageWalker{conf: p, end: ending{conf: p}, page: p.Start.Of(p.Kind)}
	}
	return oneAnswer{}
}

// oneAnswer is a listing that comes as a whole.
type oneAnswer struct{}

func (oneAnswer) next(a *answer) (step, bool, error) { return step{}, a != nil, nil }

func (oneAnswer) past(int, int) (bool, error) { return false, nil }

func (oneAnswer) shifted() bool { return false }

// linkWalker follows the Link header (RFC 8288) until an answer has no link with rel="next".
type linkWalker struct {
	notPast
	end ending
}

func (w *linkWalker) next(a *answer) (step, bool, error) {
	if a == nil {
		return step{}, false, nil
	}
	total, err := w.end.reachedTotal(a)
	if err != nil {
		return step{}, false, err
	}
	next, found, err := nextLink(a.header.Values("Link"), a.url)
	if err != nil {
		return step{}, false, fmt.Errorf("the Link header of page %d has a next target that is not a URL", a.number)
	}
	if !found {
		return step{}, true, w.end.complete(a, total)
	}
	return step{url: next}, false, nil
}

func (w *linkWalker) shifted() bool { return w.end.moved }

// pageWalker counts pages up.
type pageWalker struct {
	conf    Pages
	end     ending
	page    int // that is asked for next
	largest int // page so far
	last    int // records of the page before
}

func (w *pageWalker) next(a *answer) (step, bool, error) {
	if a != nil {
		w.last, w.largest = a.records, max(w.largest, a.records)
		if end, err := w.end.reached(a); end || err != nil {
			return step{}, end, err
		}
	}
	s := step{page: w.page}
	w.conf.set(&s, strconv.Itoa(w.page))
	w.page++
	return s, false, nil
}

func (w *pageWalker) shifted() bool { return w.end.moved }

// past takes a 404 for the end only behind a page that was shorter than the others: behind a full one it may as well be an
// outage.
func (w *pageWalker) past(number, status int) (bool, error) {
	if status != http.StatusNotFound || w.largest == 0 || !w.conf.More.IsZero() || !w.conf.Total.IsZero() {
		return false, nil
	}
	if w.last < w.largest {
		return true, nil
	}
	return false, newFault("set pages.total or pages.has_more, so that the end is certain; nothing was changed",
		"page %d: the answer is 404 behind a full page: this may be the end of the list or an outage", number)
}
