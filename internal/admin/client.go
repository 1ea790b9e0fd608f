package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/deltahook/deltahook/internal/store"
)

// Client is the view of a running daemon through its admin API.
type Client struct {
	URL   string // http://127.0.0.1:9644
	Token string // needed for actions
	HTTP  *http.Client
}

// NewClient makes a client for the address that a daemon listens on.
func NewClient(listen, token string) *Client {
	return &Client{URL: "http://" + listen, Token: token, HTTP: &http.Client{Timeout: time.Minute}}
}

// Healthy asks whether the daemon answers and is ready. ErrNotRunning when nothing listens there, or another program does.
func (c *Client) Healthy(ctx context.Context) error {
	const (
		patience = 10 * time.Second // whoever takes a connection and says nothing is none, or of no use
		enough   = 64
	)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	resp, err := c.ask(ctx, http.MethodGet, "/readyz", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusServiceUnavailable {
		return refusal(resp)
	}
	said, err := io.ReadAll(io.LimitReader(resp.Body, enough))
	if err != nil || resp.StatusCode != http.StatusOK || string(bytes.TrimSpace(said)) != "ready" {
		return fmt.Errorf("%w at %s: another program answers there", ErrNotRunning, c.URL)
	}
	return nil
}

// Status gives the state of everything.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/api/v1/status", nil, &s)
}

// Settings gives the configuration that is in effect, by section and key, secrets masked.
func (c *Client) Settings(ctx context.Context) (s map[string]map[string]string, err error) {
	return s, c.call(ctx, http.MethodGet, "/api/v1/config", nil, &s)
}

// Prints gives the prints of what the settings mask, sealed with the token.
func (c *Client) Prints(ctx context.Context) (p map[string]map[string]string, err error) {
	return p, c.call(ctx, http.MethodGet, "/api/v1/config/prints", nil, &p)
}

// Reload reads the configuration again.
func (c *Client) Reload(ctx context.Context) (r Reloaded, err error) {
	return r, c.call(ctx, http.MethodPost, "/api/v1/reload", nil, &r)
}

// Events lists events, newest first.
func (c *Client) Events(ctx context.Context, q store.EventQuery) (list []Event, err error) {
	return list, c.call(ctx, http.MethodGet, "/api/v1/events", eventValues(q), &list)
}

// Event gives one event.
func (c *Client) Event(ctx context.Context, id string) (d EventDetail, err error) {
	return d, c.call(ctx, http.MethodGet, "/api/v1/events/"+url.PathEscape(id), nil, &d)
}

// Deliveries lists deliveries, newest event first.
func (c *Client) Deliveries(ctx context.Context, q store.DeliveryQuery) (list []Delivery, err error) {
	return list, c.call(ctx, http.MethodGet, "/api/v1/deliveries", deliveryValues(q), &list)
}

// Change replays or drops deliveries.
func (c *Client) Change(ctx context.Context, ch Change, plan bool) (r Changed, err error) {
	method := http.MethodPost
	if plan {
		method = http.MethodGet
	}
	return r, c.call(ctx, method, "/api/v1/"+string(ch.Kind), changeValues(ch), &r)
}

// Act does something to a source or a webhook.
func (c *Client) Act(ctx context.Context, a Action) error {
	path := "/api/v1/sources/" + url.PathEscape(a.Source)
	if a.Webhook != "" {
		path = "/api/v1/webhooks/" + url.PathEscape(a.Webhook)
	}
	return c.call(ctx, http.MethodPost, path+"/"+string(a.Verb), nil, nil)
}

// Edit changes what is stored of a source.
func (c *Client) Edit(ctx context.Context, e Edit, plan bool) (done Edited, err error) {
	method := http.MethodPost
	if plan {
		method = http.MethodGet
	}
	v := values{}
	v.text("level", e.Level)
	return done, c.call(ctx, method, "/api/v1/sources/"+url.PathEscape(e.Source)+"/"+string(e.Verb), url.Values(v), &done)
}

// call asks for an answer and decodes it.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, into any) error {
	resp, err := c.send(ctx, method, path, query)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("read the daemon's answer to %s: %w", path, err)
	}
	return nil
}

// send asks, and gives an answer that is a success.
func (c *Client) send(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	resp, err := c.ask(ctx, method, path, query)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, refusal(resp)
	}
	return resp, nil
}

// ask gives any answer.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	target := c.URL + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("admin request: %w", err)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return nil, err
		}
		return nil, fmt.Errorf("%w at %s: %w", ErrNotRunning, c.URL, cause(err))
	}
	return resp, nil
}

// cause strips what the client of net/http puts around the reason: the caller knows the address.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		return sys.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("what is there does not answer")
	}
	return err
}

// refusal turns a problem answer into the error it was made of.
func refusal(resp *http.Response) error {
	var p Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Detail == "" {
		return fmt.Errorf("the daemon answered %s", resp.Status)
	}
	if resp.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%w (%s)", store.ErrNotFound, p.Detail)
	}
	if resp.StatusCode == http.StatusUnprocessableEntity {
		return &RejectedError{Problems: p.Detail}
	}
	return &p
}
