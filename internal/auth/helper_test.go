package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// vault has the secrets of a test, all of which must stay out of messages.
type vault struct {
	mu     sync.Mutex
	values map[string]string
}

func newVault(pairs ...string) *vault {
	v := &vault{values: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		v.values[pairs[i]] = pairs[i+1]
	}
	return v
}

func (v *vault) set(name, value string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.values[name] = value
}

func (v *vault) secrets() *setting.Secrets {
	return &setting.Secrets{LookupEnv: func(name string) (string, bool) {
		v.mu.Lock()
		defer v.mu.Unlock()
		value, ok := v.values[name]
		return value, ok
	}}
}

func env(name string) setting.Secret { return setting.NewSecret("env:" + name) }

// clock is a time that only a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// serve runs a server until the test ends.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func address(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// client asks an API as the polling client does.
type client struct {
	a         Authenticator
	transport http.RoundTripper
}

// newClient makes a client for an API at origin; o is filled up.
func newClient(t *testing.T, c Config, origin string, o Options) *client {
	t.Helper()
	base := outbound.NewTransport()
	t.Cleanup(base.CloseIdleConnections)
	o.Origin = address(t, origin)
	if o.Secrets == nil {
		o.Secrets = &setting.Secrets{}
	}
	if o.Transport == nil {
		o.Transport = base
	}
	if o.Expand == nil {
		o.Expand = expander(o.Secrets)
	}
	if problems := c.Validate(o.Secrets); len(problems) > 0 && !problems[0].Warning {
		t.Fatalf("the configuration of the test is wrong: %v", problems)
	}
	a, err := New(&c, o)
	if err != nil {
		t.Fatal(err)
	}
	return &client{a: a, transport: a.Transport(base)}
}

// expander fills {secret:…} in, escaped in the ways that the tests need.
func expander(secrets *setting.Secrets) func(string, Escape) (string, error) {
	return func(text string, e Escape) (string, error) {
		for _, ref := range secretsIn(text) {
			value, err := secrets.Resolve(ref)
			if err != nil {
				return "", err
			}
			switch e {
			case EscapeURL, EscapeForm:
				value = url.QueryEscape(value)
			case EscapeJSON:
				value = strings.Trim(fmt.Sprintf("%q", value), `"`)
			case EscapeNone, EscapeHeader, EscapeXML:
			}
			text = strings.ReplaceAll(text, "{secret:"+ref.String()+"}", value)
		}
		return text, nil
	}
}

// got is what came of one question.
type got struct {
	status int
	body   string
	tries  int
}

// ask sends a request, and once more when there is a new proof.
func (c *client) ask(ctx context.Context, method, address, body string) (got, error) {
	var g got
	for {
		g.tries++
		answer, proof, err := c.try(ctx, method, address, body, &g)
		if err != nil {
			return g, err
		}
		again, err := c.a.Answered(ctx, proof, answer)
		if err != nil || !again || g.tries == 2 {
			return g, err
		}
	}
}

func (c *client) try(ctx context.Context, method, address, body string, g *got) (Answer, Proof, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return Answer{}, Proof{}, err
	}
	proof, err := c.a.Authorize(ctx, req)
	if err != nil {
		return Answer{}, proof, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return Answer{}, proof, err
	}
	defer resp.Body.Close()
	head, all := Peek(resp.Body)
	data, err := io.ReadAll(all)
	g.status, g.body = resp.StatusCode, string(data)
	return Answer{Status: resp.StatusCode, Header: resp.Header, Head: head}, proof, err
}

func (c *client) get(t *testing.T, address string) (got, error) {
	t.Helper()
	return c.ask(t.Context(), http.MethodGet, address, "")
}

// ok asks and fails the test unless the answer is 200.
func (c *client) ok(t *testing.T, address string) got {
	t.Helper()
	g, err := c.get(t, address)
	if err != nil || g.status != http.StatusOK {
		t.Fatalf("%s: %+v, %v", address, g, err)
	}
	return g
}

// fails asks and gives the *Error that has to come.
func (c *client) fails(t *testing.T, address string) *Error {
	t.Helper()
	g, err := c.get(t, address)
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("%s: %+v, %v, want an *Error", address, g, err)
	}
	return e
}

// quiet fails the test when an error, or any error that it wraps, has one of the values in its text.
func quiet(t *testing.T, err error, secrets ...string) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret)} {
			if strings.Contains(err.Error()+" "+setting.Hint(err), form) {
				t.Errorf("the error has the secret %q in it: %v", secret, err)
			}
		}
	}
	switch wrapper := err.(type) { //nolint:errorlint // walks the tree
	case interface{ Unwrap() error }:
		quiet(t, wrapper.Unwrap(), secrets...)
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			quiet(t, inner, secrets...)
		}
	}
}

func path(text string) differ.Path { return differ.MustPath(text) }

func condition(t *testing.T, text string) differ.Condition {
	t.Helper()
	c, err := differ.ParseCondition(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
