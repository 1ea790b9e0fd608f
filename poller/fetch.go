package poller

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller/decode"
)

// ErrMorePages says that a listing goes on behind the page pages.max.
var ErrMorePages = errors.New("the listing has more pages than pages.max")

// walk is one way through the pages of a listing.
type walk struct {
	p        *Poller
	scan     *scan
	walker   walker
	values   values
	occasion Occasion
	result   *Result
	reader   *differ.Reader
	open     *aside // the body of the current page
	reach    reach
	more     bool            // another window waits behind this one
	ahead    mark            // where it begins when the watermark does not move there; none: at the watermark
	asked    map[uint64]bool // addresses
	shown    map[uint64]int  // sets of keys, with the page that showed them
	send     Validators      // zero: unconditionally

	got         Validators // of the answer, when it is the whole listing
	notModified bool
	exchanges   []Exchange // of a trial

	parts       *parts // of a listing that comes in several; nil: it is one
	pagesBefore int    // of earlier partitions
}

// run reads the whole listing. Only when it returns nil was the end seen.
func (w *walk) run(ctx context.Context) error {
	var last *answer
	for {
		step, end, err := w.walker.next(last)
		if err != nil {
			return &fault{message: err.Error(), hint: nothingChanged, cause: err}
		}
		if end {
			return nil
		}
		if err := w.mayGoOn(ctx); err != nil {
			return err
		}
		last, err = w.page(ctx, step)
		if err != nil || w.notModified || last == nil {
			return err
		}
	}
}

// mayGoOn keeps the pages apart and stops a walk that does not end.
func (w *walk) mayGoOn(ctx context.Context) error {
	conf := w.p.source.Pages
	if conf.Kind == "" || w.pages() == 0 {
		return nil
	}
	if w.pages() >= conf.Max {
		f := newFault("raise pages.max if the list is really so long; nothing was changed", "the list did not end within %d pages (pages.max)", conf.Max)
		f.cause = ErrMorePages
		return f
	}
	if conf.Delay <= 0 {
		return nil
	}
	timer := time.NewTimer(conf.Delay.Std())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pages is how many of this list were read.
func (w *walk) pages() int { return w.result.Pages - w.pagesBefore }

// page asks for one page and looks at its records. It gives nil when the page before was the last one.
func (w *walk) page(ctx context.Context, s step) (*answer, error) {
	number := w.pages() + 1
	s.url = w.p.home(s.url)
	req, err := w.request(s)
	if err != nil {
		return nil, err
	}
	resp, err := w.p.do(ctx, w.p.requests, req, func() (outbound.Request, error) { return w.compose(s) })
	if err != nil {
		return nil, w.unanswered(err, number)
	}
	defer resp.Body.Close()
	w.result.Requests += resp.Attempts
	w.open = &aside{Reader: resp.Body, dir: w.p.opts.TempDir}
	defer w.open.close()
	body := &countedBody{body: w.open, before: w.result.Bytes, limit: int64(w.p.source.Response.MaxScan)}
	w.scan.seam.begin(s.repeats)
	a, err := w.read(resp, body, number)
	w.result.Bytes += body.count
	if w.result.Status = resp.Status; err != nil {
		w.result.Excerpt = w.p.excerptOf(body)
	}
	w.remember(req, resp, body)
	w.progress()
	return a, err
}

// home gives the address of a page as the origin has it. Behind a proxy that ends TLS for it, a server names the scheme in which the
// proxy asks it.
func (p *Poller) home(u *url.URL) *url.URL {
	origin := p.requests.target
	if u == nil || origin.Socket != "" || u.Scheme != "http" && u.Scheme != "https" || !strings.EqualFold(u.Host, origin.URL.Host) || p.client.Allows(u) {
		return u
	}
	same := *u
	same.Scheme = origin.URL.Scheme
	return &same
}

// request makes the request of a page that may be asked for.
func (w *walk) request(s step) (outbound.Request, error) {
	req, err := w.compose(s)
	if err != nil {
		return req, err
	}
	if s.url != nil && !w.p.client.Allows(s.url) {
		return req, newFault("list the host in allowed_hosts if it may be asked, without credentials; nothing was changed",
			"page %d leads to another origin, %s://%s", w.pages(), s.url.Scheme, s.url.Host)
	}
	return req, w.askedOnce(req, s)
}

func (w *walk) compose(s step) (outbound.Request, error) {
	v := w.values
	v.page, v.offset = s.page, s.offset
	req, err := w.p.requests.build(v, s.url)
	if err != nil {
		return req, err
	}
	for _, p := range s.params {
		req.URL = setParam(req.URL, p.name, p.value)
	}
	if s.header != nil {
		req.Header.Set(s.header.name, s.header.value)
	}
	if s.body != nil {
		if req.Body, err = setBodyParam(req.Body, s.body); err != nil {
			return req, newFault("body must be a JSON object or a form; nothing was changed", "pages.in = \"body\": %s cannot be set: %v", s.body.name, err)
		}
	}
	if w.send.ETag != "" {
		req.Header.Set("If-None-Match", w.send.ETag)
	}
	if w.send.LastModified != "" {
		req.Header.Set("If-Modified-Since", w.send.LastModified)
	}
	return req, nil
}

// askedOnce fails when a page is asked for twice: the paging runs in a circle.
func (w *walk) askedOnce(req outbound.Request, s step) error {
	if w.p.source.Pages.Kind == "" {
		return nil
	}
	question := req.URL.String() + "\n" + string(req.Body)
	if s.header != nil {
		question += "\n" + s.header.value
	}
	where := fingerprint(question)
	if w.asked[where] {
		return newFault("the server's paging runs in a circle; nothing was changed", "page %d has the same address as an earlier one", w.pages()+1)
	}
	w.asked[where] = true
	return nil
}

func (w *walk) unanswered(err error, page int) error {
	if broken, ok := errors.AsType[*outbound.Error](err); ok {
		w.result.Requests += broken.Attempts
		hint := nothingChanged
		if step := setting.Hint(err); step != "" {
			hint = step + "; " + nothingChanged
		}
		return &fault{message: fmt.Sprintf("page %d: %s", page, broken.Message), hint: hint, cause: err}
	}
	if wait, ok := errors.AsType[*outbound.DeferredError](err); ok {
		w.result.Requests += wait.Attempts
	}
	return err
}

func (w *walk) read(resp *outbound.Response, body *countedBody, number int) (*answer, error) {
	what := seen{page: number, status: resp.Status, kind: resp.Type()}
	switch {
	case readable(resp.Status):
	case resp.Status == http.StatusNotModified:
		if w.send != (Validators{}) {
			w.notModified = true
			w.dated(resp)
			w.fresh(resp.Header)
			return nil, nil //nolint:nilnil // there is no page; notModified says why
		}
		return nil, explainStatus(what, "")
	default:
		return nil, w.refused(resp, body, what)
	}
	w.result.Pages++
	a := &answer{number: number, url: resp.URL, header: resp.Header}
	w.dated(resp)
	before, skipped := w.scan.counts.Records, w.scan.counts.Skipped
	err := w.records(resp, body)
	what.bytes, what.head = body.count, w.p.headOf(body)
	if err := w.inside(err, what); err != nil {
		return nil, err
	}
	a.shown = w.scan.counts.Records - before
	a.records = w.scan.endPage(a.shown, w.scan.counts.Skipped-skipped)
	a.total, a.envelope = w.scan.counts.Records, w.reader.Envelope()
	a.last = w.scan.lastKey()
	w.validators(resp)
	return a, w.repeated(a)
}

// refused reads the beginning of an answer that is no page.
func (w *walk) refused(resp *outbound.Response, body *countedBody, what seen) error {
	if end, err := w.walker.past(what.page, resp.Status); err != nil || end {
		return err
	}
	const enough = 64 << 10
	// What cannot be read is missing in the message; the status is what counts.
	text, _ := io.ReadAll(io.LimitReader(body, enough))
	what.bytes, what.head = body.count, w.p.headOf(body)
	if isXML(what.kind) {
		if fault := soapFault(text, resp.Header.Get("Content-Type")); fault != nil {
			fault.Text = w.p.opts.Secrets.RedactHead(fault.Text)
			return explain(fault, what)
		}
	}
	return explainStatus(what, redirection(resp))
}

func (w *walk) records(resp *outbound.Response, body io.Reader) error {
	o := decodeOptions(w.p.source, resp.Header.Get("Content-Type"))
	if o.Endless = resp.Endless && (o.Format == "ndjson" || o.Format == "csv"); o.Endless {
		w.scan.endless = w.pages()
	}
	document, err := decode.Body(body, o)
	if err != nil {
		return err
	}
	if w.reader == nil {
		w.reader = w.p.reader
		w.reader.Renew(document, differ.Options{Spec: w.p.spec})
	} else {
		w.reader.Reset(document)
	}
	w.scan.beginPage()
	for {
		rec, err := w.reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.scan.record(rec); err != nil {
			return err
		}
		const often = 1 << 10
		if w.scan.counts.Records%often == 0 {
			w.progress()
		}
	}
}

// repeated fails when a page shows exactly the records of an earlier one: the server ignores the page that it is asked for.
func (w *walk) repeated(a *answer) error {
	if w.scan.digest == 0 || w.scan.seam != nil && a.records == 0 { // no record with a key, or the end of pages that overlap
		return nil
	}
	if earlier, ok := w.shown[w.scan.digest]; ok {
		return newFault("the server seems to ignore the page that it is asked for: check pages.param; nothing was changed",
			"page %d has the same records as page %d", a.number, earlier)
	}
	w.shown[w.scan.digest] = a.number
	return nil
}

// validators takes those of an answer that is the whole listing and came from the address that was asked.
func (w *walk) validators(resp *outbound.Response) {
	if w.p.source.Pages.Kind != "" {
		return
	}
	w.got = Validators{ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified")}
	w.fresh(resp.Header)
}

func (w *walk) progress() {
	if w.occasion.Progress != nil {
		w.occasion.Progress(Progress{Pages: w.result.Pages, Records: w.scan.counts.Records, Bytes: w.result.Bytes})
	}
}

func (w *walk) remember(req outbound.Request, resp *outbound.Response, body *countedBody) {
	const most = 100
	if w.scan.watch == nil || len(w.exchanges) >= most {
		return
	}
	w.exchanges = append(w.exchanges, Exchange{
		Method: req.Method, URL: w.p.opts.Secrets.Redact(outbound.Display(req.URL)), Status: resp.Status, Type: resp.Type(), Bytes: body.count,
	})
}

// headOf gives the beginning of an answer without secrets: what is clipped for a message later cannot be told from other text.
func (p *Poller) headOf(body *countedBody) []byte {
	return []byte(p.opts.Secrets.RedactHead(string(body.head)))
}

// excerptOf is what is kept of an answer that could not be used.
func (p *Poller) excerptOf(body *countedBody) string {
	const most = 2 << 10
	head := p.headOf(body)
	return strings.ToValidUTF8(string(head[:min(len(head), most)]), "\uFFFD")
}

// countedBody counts what is read, remembers how it begins and ends the poll when all answers together are too large.
type countedBody struct {
	body   io.Reader
	count  int64
	before int64 // bytes of earlier answers
	limit  int64
	head   []byte
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.count += int64(n)
	const enough = 4 << 10
	if len(b.head) < enough {
		b.head = append(b.head, p[:min(n, enough-len(b.head))]...)
	}
	if b.limit > 0 && b.before+b.count > b.limit {
		return n, &outbound.Error{Reason: "scan_too_large", Message: fmt.Sprintf("all pages together are larger than %s (response.max_scan)", sizeForPeople(b.limit))}
	}
	return n, err
}

func fingerprint(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}
