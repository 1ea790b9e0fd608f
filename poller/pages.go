package poller

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/deltahook/deltahook/differ"
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
	url   *url.URL // nil: the configured one
	page  int      // for {page} and pages.param
	param string   // query parameters to set; empty: none
	sizes string
	size  int
}

// answer is what a walker may know of a page that was read.
type answer struct {
	number   int // from 1
	url      *url.URL
	header   http.Header
	records  int    // on this page
	total    int    // on all pages so far
	envelope []byte // the document without its records
}

func newWalker(p Pages) walker {
	switch p.Kind {
	case "link":
		return &linkWalker{}
	case "page":
		return &pageWalker{conf: p, page: p.Start}
	}
	return oneAnswer{}
}

// oneAnswer is a listing that comes as a whole.
type oneAnswer struct{}

func (oneAnswer) next(a *answer) (step, bool, error) { return step{}, a != nil, nil }

func (oneAnswer) past(int, int) (bool, error) { return false, nil }

func (oneAnswer) shifted() bool { return false }

// linkWalker follows the Link header (RFC 8288) until an answer has no link with rel="next".
type linkWalker struct{}

func (*linkWalker) next(a *answer) (step, bool, error) {
	if a == nil {
		return step{}, false, nil
	}
	next, found, err := nextLink(a.header.Values("Link"), a.url)
	if err != nil {
		return step{}, false, fmt.Errorf("the Link header of page %d has a next target that is not a URL", a.number)
	}
	return step{url: next}, !found, nil
}

func (*linkWalker) past(int, int) (bool, error) { return false, nil }

func (*linkWalker) shifted() bool { return false }

// pageWalker counts pages up.
type pageWalker struct {
	conf    Pages
	page    int // that is asked for next
	largest int // page so far
	last    int // records of the page before
	total   int64
	moved   bool // the total was not the same on all pages
}

func (w *pageWalker) next(a *answer) (step, bool, error) {
	if a != nil {
		w.last, w.largest = a.records, max(w.largest, a.records)
		end, err := w.ends(a)
		if end || err != nil {
			return step{}, end, err
		}
	}
	s := step{page: w.page, param: w.conf.Param, sizes: w.conf.Sizes, size: w.conf.Size}
	w.page++
	return s, false, nil
}

// ends looks for the strongest signal there is: what the server says, and without it an empty page. A short page says
// nothing, since servers cap the size that they were asked for.
func (w *pageWalker) ends(a *answer) (bool, error) {
	total, err := w.reachedTotal(a)
	if err != nil {
		return false, err
	}
	if !w.conf.More.IsZero() {
		more, ok := truth(w.conf.More.Get(a.envelope))
		if !ok {
			kind := w.conf.More.Get(a.envelope).Kind()
			return false, fmt.Errorf("pages.has_more %q is %s in the answer of page %d, not true or false", w.conf.More, kind, a.number)
		}
		if more {
			return false, nil
		}
		if !w.conf.Total.IsZero() && !total {
			return false, fmt.Errorf("the server says that there are no more pages after %d records, but its total is larger", a.total)
		}
		return true, nil
	}
	if total || a.records > 0 {
		return total, nil
	}
	if !w.conf.Total.IsZero() {
		return false, fmt.Errorf("page %d is empty after %d records, but the server's total is larger", a.number, a.total)
	}
	return true, nil
}

func (w *pageWalker) reachedTotal(a *answer) (bool, error) {
	if w.conf.Total.IsZero() {
		return false, nil
	}
	v := w.conf.Total.Get(a.envelope)
	total, err := strconv.ParseInt(strings.TrimSpace(v.Text()), 10, 64)
	if err != nil || total < 0 {
		return false, fmt.Errorf("pages.total %q is %s in the answer of page %d, not a number of records", w.conf.Total, v.Kind(), a.number)
	}
	w.moved = w.moved || a.number > 1 && total != w.total
	w.total = total
	return int64(a.total) >= total, nil
}

func (w *pageWalker) shifted() bool { return w.moved }

// truth reads true and false, also as the numbers and texts that older APIs write.
func truth(v differ.Value) (value, ok bool) {
	switch v.Kind() {
	case differ.Bool, differ.Number, differ.String:
		value, err := strconv.ParseBool(strings.ToLower(v.Text()))
		return value, err == nil
	case differ.Missing, differ.Null, differ.Object, differ.Array:
	}
	return false, false
}

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
