package poller

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/tidwall/sjson"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
)

// The places of pages.param.
const (
	inQueryParam  = "query"
	inHeaderParam = "header"
	inBodyParam   = "body"
)

// set puts the value that leads to a page, a JSON text, and the size, where the configuration says.
func (p *Pages) set(s *step, value string) {
	plain := value
	if text := ""; json.Unmarshal([]byte(value), &text) == nil {
		plain = text
	}
	switch {
	case p.In == inHeaderParam:
		s.header = &pageParam{p.Param, plain}
	case p.In == inBodyParam:
		s.body = &pageParam{p.Param, value}
	case p.Param != "":
		s.params = append(s.params, pageParam{p.Param, plain})
	}
	if p.Sizes != "" {
		s.params = append(s.params, pageParam{p.Sizes, strconv.Itoa(p.Size)})
	}
}

// setBodyParam sets a value in a JSON object, or in a form.
func setBodyParam(body []byte, p *pageParam) ([]byte, error) {
	if text := bytes.TrimSpace(body); len(text) == 0 || text[0] == '{' {
		return sjson.SetRawBytes(body, p.name, []byte(p.value))
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	plain := p.value
	if text := ""; json.Unmarshal([]byte(p.value), &text) == nil {
		plain = text
	}
	form.Set(p.name, plain)
	return []byte(form.Encode()), nil
}

// first is the first page of a walk that is led by the answers: nothing but the size is set.
func (p *Pages) first() step {
	var s step
	if p.Sizes != "" {
		s.params = append(s.params, pageParam{p.Sizes, strconv.Itoa(p.Size)})
	}
	return s
}

// notPast is for walks that never ask beyond the end: the answers say what to ask.
type notPast struct{}

func (notPast) past(int, int) (bool, error) { return false, nil }

// nextWalker follows the URL that an answer names until one names none.
type nextWalker struct {
	notPast
	end ending
}

func (w *nextWalker) next(a *answer) (step, bool, error) {
	if a == nil {
		return w.end.conf.first(), false, nil
	}
	target, end, err := w.end.follow(a)
	if end || err != nil {
		return step{}, end, err
	}
	u, err := outbound.ParseURL(strings.TrimSpace(target))
	if err != nil {
		return step{}, false, fmt.Errorf("pages.next %q is not a URL in the answer of page %d", w.end.conf.Next, a.number)
	}
	return step{url: a.url.ResolveReference(u)}, false, nil
}

func (w *nextWalker) shifted() bool { return w.end.moved }

// cursorWalker sends back the token of each answer until one has none.
type cursorWalker struct {
	notPast
	end  ending
	seen map[string]bool
}

func (w *cursorWalker) next(a *answer) (step, bool, error) {
	if a == nil {
		return w.end.conf.first(), false, nil
	}
	token, end, err := w.end.follow(a)
	if end || err != nil {
		return step{}, end, err
	}
	if w.seen[token] {
		return step{}, false, fmt.Errorf("the token in the answer of page %d came before: the server's paging runs in a circle", a.number)
	}
	w.seen[token] = true
	var s step
	w.end.conf.set(&s, string(w.end.conf.Next.Get(a.envelope).Raw))
	return s, false, nil
}

func (w *cursorWalker) shifted() bool { return w.end.moved }

// follow reads what leads to the next page; end is true when nothing does, which is the sign that the listing has ended. A
// zero is a token like any other.
func (e *ending) follow(a *answer) (next string, end bool, err error) {
	total, err := e.reachedTotal(a)
	if err != nil {
		return "", false, err
	}
	v := e.conf.Next.Get(a.envelope)
	switch v.Kind() {
	case differ.String, differ.Number:
		next = v.Text()
	case differ.Missing, differ.Null, differ.Bool:
		if v.Kind() == differ.Bool && v.Bool() {
			return "", false, fmt.Errorf("pages.next %q is true in the answer of page %d, not what leads on", e.conf.Next, a.number)
		}
	case differ.Object, differ.Array:
		return "", false, fmt.Errorf("pages.next %q is %s in the answer of page %d, not what leads on", e.conf.Next, v.Kind(), a.number)
	}
	more := next != ""
	if !e.conf.More.IsZero() {
		if more, err = e.more(a); err != nil {
			return "", false, err
		}
		if more && next == "" {
			return "", false, fmt.Errorf("the server says that there is more behind page %d, but pages.next %q does not say where", a.number, e.conf.Next)
		}
	}
	if more {
		return next, false, nil
	}
	return "", true, e.complete(a, total)
}

// offsetWalker asks for what comes behind the records that came so far; how many were asked for does not count. With overlap
// it asks for the last ones again.
type offsetWalker struct {
	notPast
	end     ending
	first   int // the number of the first record
	offset  int // how many records are passed over by what is asked for
	repeats int // records from offset that came before
}

func (w *offsetWalker) next(a *answer) (step, bool, error) {
	if a != nil {
		position, overlap := w.offset+a.shown, w.end.conf.Overlap
		if overlap > 0 {
			a.total = position // what was read before and is gone now is not among the server's total
		}
		if a.records == 0 && a.shown > 0 { // nothing new: only an empty page behind it proves that the list ends here
			a.records, overlap = a.shown, 0
		}
		if end, err := w.end.reached(a); end || err != nil {
			return step{}, end, err
		}
		w.advance(position, a.shown, overlap)
	}
	s := step{offset: w.first + w.offset, repeats: w.repeats}
	w.end.conf.set(&s, strconv.Itoa(s.offset))
	return s, false, nil
}

// advance goes on behind a page, by one record at least.
func (w *offsetWalker) advance(position, shown, overlap int) {
	next := position
	if overlap > 0 && shown > 0 {
		next = max(position-overlap, w.offset+1)
	}
	w.offset, w.repeats = next, position-next
}

func (w *offsetWalker) shifted() bool { return w.end.moved && w.end.conf.Overlap == 0 }

// lastKeyWalker asks for what comes behind the last record that came.
type lastKeyWalker struct {
	notPast
	end ending
}

func (w *lastKeyWalker) next(a *answer) (step, bool, error) {
	if a == nil {
		return w.end.conf.first(), false, nil
	}
	if end, err := w.end.reached(a); end || err != nil {
		return step{}, end, err
	}
	if a.records == 0 {
		return step{}, false, fmt.Errorf("page %d is empty, but the server says that there is more", a.number)
	}
	key, err := json.Marshal(a.last)
	if err != nil {
		return step{}, false, err
	}
	var s step
	w.end.conf.set(&s, string(key))
	return s, false, nil
}

func (w *lastKeyWalker) shifted() bool { return w.end.moved }
