package poller

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/deltahook/deltahook/differ"
)

// ending finds the end of a listing in what the server says.
type ending struct {
	conf  Pages
	total int64
	told  bool // total is what an answer said
	led   bool // answers say what to ask next, so that the total only has to agree: OData says it on the first page only
	moved bool // the total was not the same on all pages
}

// reached looks for the strongest signal there is: what the server says, and without it an empty page. A short page says
// nothing, since servers cap the size that they were asked for.
func (e *ending) reached(a *answer) (bool, error) {
	total, err := e.reachedTotal(a)
	if err != nil {
		return false, err
	}
	if !e.conf.More.IsZero() {
		more, err := e.more(a)
		if err != nil || more {
			return false, err
		}
		return true, e.complete(a, total)
	}
	if total || a.records > 0 {
		return total, nil
	}
	return true, e.complete(a, total)
}

// more reads has_more, which must be there on each page.
func (e *ending) more(a *answer) (bool, error) {
	path := e.conf.More.Path()
	v := path.Get(a.envelope)
	want, simple := e.conf.More.Wants()
	if !simple && v.Kind() != differ.Missing {
		return e.conf.More.Match(a.envelope), nil
	}
	is, ok := truth(v)
	if !ok {
		return false, fmt.Errorf("pages.has_more %q is %s in the answer of page %d, not true or false", path, v.Kind(), a.number)
	}
	return is == want, nil
}

// complete fails when the list ends although the server's own total says that there is more.
func (e *ending) complete(a *answer, total bool) error {
	switch {
	case e.conf.Total.IsZero() || total:
		return nil
	case a.records == 0:
		return fmt.Errorf("page %d is empty after %d records, but the server's total is larger", a.number, a.total)
	}
	return fmt.Errorf("the server says that there are no more pages after %d records, but its total is larger", a.total)
}

func (e *ending) reachedTotal(a *answer) (bool, error) {
	if e.conf.Total.IsZero() {
		return false, nil
	}
	v := e.conf.Total.Get(a.envelope)
	if e.led && e.told && v.Kind() == differ.Missing {
		return int64(a.total) >= e.total, nil
	}
	total, err := strconv.ParseInt(strings.TrimSpace(v.Text()), 10, 64)
	if err != nil || total < 0 {
		return false, fmt.Errorf("pages.total %q is %s in the answer of page %d, not a number of records", e.conf.Total, v.Kind(), a.number)
	}
	e.moved = e.moved || a.number > 1 && total != e.total
	e.total, e.told = total, true
	return int64(a.total) >= total, nil
}

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
