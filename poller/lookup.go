package poller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller/decode"
)

// compileLookup reads the URL of one record, which stands at key; nil for none. A path alone is one of the origin of url. A
// record is asked for like its listing, with the same headers and the secrets of the query, but by GET and without the rest of the
// query: that is about lists.
func compileLookup(s *Source, listing *requests, text string, problems *setting.Problems, key ...string) *requests {
	if text == "" {
		return nil
	}
	r := &requests{method: http.MethodGet, agent: listing.agent, secret: slices.Clone(listing.secret)}
	for _, h := range listing.headers {
		if h.name != "Content-Type" {
			r.headers = append(r.headers, h)
		}
	}
	if strings.HasPrefix(text, "/") {
		before, _, _ := strings.Cut(s.URL, "?")
		text = strings.TrimSuffix(originPrefix(before), "/") + text
	}
	r.compileURL(text, problems, key...)
	return r
}

// lookup checks the URL of one record, if there is one.
func (c *check) lookup(text string, key ...string) {
	s := c.s
	if text == "" {
		return
	}
	listing := compileRequests(s, "", &setting.Problems{})
	before := len(c.problems)
	r := compileLookup(s, listing, text, &c.problems, key...)
	if len(c.problems) > before || listing.target.URL == nil {
		return
	}
	for _, name := range []string{"page", "offset", "cursor", "until"} {
		if r.base.uses(name) || slices.ContainsFunc(r.query, func(p parameter) bool { return p.value.uses(name) }) {
			c.add("remove {"+name+"}", "one record is no part of a listing", key...)
		}
	}
	client := outbound.NewClient(outbound.Options{Target: listing.target, AllowedHosts: s.AllowedHosts})
	switch {
	case !client.Allows(r.target.URL):
		c.add("write a URL of the same origin, or list the host in allowed_hosts if it may be asked, without credentials",
			"it leads to another origin than url", key...)
	case !r.uses("key") && !r.uses("record"):
		c.add("put {key} or {record.PATH} where the record is named", "it is the same address for each record", key...)
	case r.uses("key") && len(s.Key) > 1:
		c.problems.Warn("write {record.PATH} for each part of the key", `{key} of several paths is a JSON array, like ["01","4711"]`, key...)
	}
}

// ask asks for one record. The answer may have any status; moved says that it is that of another address, behind a redirect.
func (p *Poller) ask(ctx context.Context, r *requests, v values) (resp *outbound.Response, moved bool, err error) {
	build := func() (outbound.Request, error) { return r.build(v, nil) }
	req, err := build()
	if err != nil {
		return nil, false, err
	}
	if resp, err = p.do(ctx, r, req, build); err != nil {
		return nil, false, err
	}
	return resp, outbound.Display(resp.URL) != outbound.Display(req.URL), nil
}

// isGone says whether an answer to the question for one record says that there is none.
func isGone(status int) bool { return status == http.StatusNotFound || status == http.StatusGone }

// refusal says what an answer is that is no record.
func (p *Poller) refusal(resp *outbound.Response) error {
	const enough = 2 << 10
	// What cannot be read is missing in the message; the status is what counts.
	head, _ := io.ReadAll(io.LimitReader(resp.Body, enough))
	if text := gist([]byte(p.opts.Secrets.RedactHead(string(head)))); text != "" {
		return fmt.Errorf("the server answered %d: %q", resp.Status, text)
	}
	return fmt.Errorf("the server answered %d", resp.Status)
}

// readSingle reads an answer that is one record, at path, to its end: what it is worth is only known there. The record is
// its own copy.
func (p *Poller) readSingle(resp *outbound.Response, body io.Reader, path differ.Path) ([]byte, error) {
	o := decodeOptions(p.source, resp.Header.Get("Content-Type"))
	o.Records, o.CSV.Require = "", nil
	document, err := decode.Body(body, o)
	if err != nil {
		return nil, err
	}
	reader := differ.NewReader(document, differ.Options{Spec: differ.Spec{Records: path, Single: true}})
	var record []byte
	rec, err := reader.Next()
	if err == nil {
		record = bytes.Clone(rec.Raw)
		_, err = reader.Next()
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	conf := p.source.Response
	if envelope := reader.Envelope(); readToItsEnd(err) && !conf.Error.IsZero() && conf.Error.Match(envelope) {
		return nil, fmt.Errorf("response.error says that this answer is an error: %s", p.gistOf(string(envelope)))
	}
	return record, err
}

// sideBySide calls f for 0 to n-1, at most width at the same time, and returns when all calls have.
func sideBySide(n, width int, f func(i int)) {
	var workers sync.WaitGroup
	next := make(chan int)
	for range min(n, width) {
		workers.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}
