package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/deltahook/deltahook/internal/store"
)

func sourcePath(name, what string) string { return "/api/v1/sources/" + url.PathEscape(name) + what }

// Source gives one source.
func (c *Client) Source(ctx context.Context, name string) (d SourceDetail, err error) {
	return d, c.call(ctx, http.MethodGet, sourcePath(name, ""), nil, &d)
}

// Polls lists the last polls of a source.
func (c *Client) Polls(ctx context.Context, source string, limit int) (list []PastPoll, err error) {
	if limit <= 0 {
		limit = maxPolls
	}
	v := values{}
	v.number("limit", int64(limit))
	return list, c.call(ctx, http.MethodGet, sourcePath(source, "/polls"), url.Values(v), &list)
}

// Activity gives the changes of the last 24 hours by source.
func (c *Client) Activity(ctx context.Context, sources []string) (all map[string][]Hour, err error) {
	return all, c.call(ctx, http.MethodGet, "/api/v1/activity", url.Values{"source": sources}, &all)
}

// Records lists the known records of a source.
func (c *Client) Records(ctx context.Context, q store.RecordQuery) (list []Record, err error) {
	v := values{}
	v.text("prefix", q.Prefix)
	v.cursor(place{Key: q.After})
	v.number("limit", int64(q.Limit))
	return list, c.call(ctx, http.MethodGet, sourcePath(q.Source, "/records"), url.Values(v), &list)
}

// Record gives a known record.
func (c *Client) Record(ctx context.Context, source, key string) (r Record, err error) {
	return r, c.call(ctx, http.MethodGet, sourcePath(source, "/record"), url.Values{"key": {key}}, &r)
}

// Why tells the story of a record.
func (c *Client) Why(ctx context.Context, source, key string) (s Story, err error) {
	return s, c.call(ctx, http.MethodGet, sourcePath(source, "/why"), url.Values{"key": {key}}, &s)
}

// Stream calls yield for what happens until ctx ends, yield fails or the daemon ends it.
func (c *Client) Stream(ctx context.Context, q StreamQuery, yield func(Item) error) error {
	v := url.Values{"source": q.Sources, "webhook": q.Webhooks, "type": q.Types, "kind": q.Kinds}
	if q.Failed {
		v.Set("failed", "true")
	}
	if q.After != 0 {
		v.Set("after", strconv.FormatUint(q.After, 10))
	}
	endless := *c.HTTP
	endless.Timeout = 0
	resp, err := (&Client{URL: c.URL, Token: c.Token, HTTP: &endless}).send(ctx, http.MethodGet, "/api/v1/stream", v)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return readEvents(resp, yield)
}

// readEvents reads server-sent events that stream wrote.
func readEvents(resp *http.Response, yield func(Item) error) error {
	const longest = 1 << 20
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, longest)
	kind := ""
	for lines.Scan() {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			kind = name
		}
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			if err := yield(Item{ID: number(id), Kind: KindIdle}); err != nil {
				return err
			}
		}
		data, ok := strings.CutPrefix(line, "data: ")
		switch {
		case !ok:
			continue
		case kind == "end":
			return ended(data)
		}
		var it Item
		if err := json.Unmarshal([]byte(data), &it); err != nil {
			return fmt.Errorf("read the stream: %w", err)
		}
		if err := yield(it); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	return ErrEnded
}

// number reads an id; 0 for what is none.
func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// ended turns the daemon's last word into the error that it was.
func ended(data string) error {
	var text string
	if err := json.Unmarshal([]byte(data), &text); err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	for _, known := range lastWords() {
		if text == known.Error() {
			return known
		}
	}
	return errors.New(text)
}
