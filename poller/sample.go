package poller

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// Sample is one answer as it came, decompressed: nobody has looked for records in it.
type Sample struct {
	Status int
	Header http.Header
	URL    *url.URL // that answered, after redirects
	Body   []byte
	Took   time.Duration
}

// TakeSample asks what a poll of the source would ask first, and reads the whole answer, up to response.max_body. When the
// answer is none that a poll would read, the error says why, for people, and the sample is there all the same.
func TakeSample(ctx context.Context, source Source, o Options) (*Sample, error) {
	p, err := New(source, o)
	if err != nil {
		return nil, err
	}
	now := p.opts.Now()
	first := source.Pages.Start.Of(source.Pages.Kind)
	req, err := p.requests.build(values{now: now, scheduled: now, page: first, offset: first, secrets: p.opts.Secrets}, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.client.Do(ctx, req)
	if err != nil {
		return nil, p.forPeople(err)
	}
	defer resp.Body.Close()
	body := &countedBody{body: resp.Body}
	text, err := io.ReadAll(body)
	s := &Sample{Status: resp.Status, Header: resp.Header, URL: resp.URL, Body: text, Took: p.opts.Now().Sub(now)}
	what := seen{page: 1, status: resp.Status, kind: resp.Type(), bytes: body.count, head: p.headOf(body)}
	switch {
	case !readable(resp.Status):
		return s, p.forPeople(explainStatus(what, redirection(resp)))
	case err != nil:
		return s, p.forPeople(explain(err, what))
	}
	return s, nil
}

// forPeople gives an error without secrets, with its next step.
func (p *Poller) forPeople(err error) error {
	var r Result
	p.judge(err, &r)
	if r.Err == nil { // the server wants to be asked later
		return fmt.Errorf("%s", r.Message)
	}
	// What a poll adds for those who look after a running source means nothing here.
	hint := strings.TrimSuffix(strings.TrimSuffix(r.Hint, nothingChanged), "; ")
	return &setting.HintedError{Message: r.Message, Hint: hint}
}

// readable says whether an answer with this status is a page of the listing.
func readable(status int) bool {
	switch status {
	case http.StatusOK, http.StatusCreated, http.StatusNonAuthoritativeInfo, http.StatusMultiStatus:
		return true
	}
	return false
}

// redirection gives the origin to which an answer leads; empty when it leads nowhere.
func redirection(resp *outbound.Response) string {
	to, err := resp.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return ""
	}
	return outbound.Display(&url.URL{Scheme: to.Scheme, Host: to.Host})
}
