package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/poller"
)

// changeText is a change for people: one line for the record, one for each path.
func (a *app) changeText(c differ.Change) string {
	var b strings.Builder
	switch c.Kind {
	case differ.Created:
		fmt.Fprintf(&b, "  %s %s  created   %s\n", a.paint(green, "+"), a.paint(bold, oneLine(c.Key)), a.brief(c.Record, len(c.Key)+16))
	case differ.Deleted:
		fmt.Fprintf(&b, "  %s %s  deleted   %s\n", a.paint(red, "-"), a.paint(bold, oneLine(c.Key)), a.brief(c.Record, len(c.Key)+16))
	case differ.Updated:
		fmt.Fprintf(&b, "  %s %s  updated\n", a.paint(yellow, "~"), a.paint(bold, oneLine(c.Key)))
		for _, path := range c.Delta.Changed {
			fmt.Fprintf(&b, "      %s  %s  →  %s\n", path, a.paint(red, oldValue(c.Delta.Previous, path)), a.paint(green, newValue(c.Record, path)))
		}
	case differ.Snapshot:
		fmt.Fprintf(&b, "  = %s\n", oneLine(c.Key))
	}
	return b.String()
}

func (a *app) brief(record []byte, used int) string {
	return a.paint(grey, clip(string(record), max(30, a.width-used)))
}

// oldValue reads previous, whose members are named by path.
func oldValue(previous []byte, path string) string {
	var old map[string]json.RawMessage
	if err := json.Unmarshal(previous, &old); err != nil || old[path] == nil {
		return "(none)"
	}
	return clip(string(old[path]), 60)
}

func newValue(record []byte, path string) string {
	p, err := differ.ParsePath(path)
	if err != nil {
		return "?"
	}
	v := p.Get(record)
	if !v.Exists() {
		return "(none)"
	}
	return clip(string(v.Raw), 60)
}

func changeJSON(c differ.Change) []byte {
	line, err := json.Marshal(struct {
		Change   string          `json:"change"`
		Key      string          `json:"key"`
		Record   json.RawMessage `json:"record,omitempty"`
		Previous json.RawMessage `json:"previous,omitempty"`
		Changed  []string        `json:"changed,omitempty"`
	}{c.Kind.String(), c.Key, c.Record, c.Delta.Previous, c.Delta.Changed})
	if err != nil { // a record that is no JSON cannot get here
		return []byte("{}")
	}
	return line
}

// progress shows on a terminal how far a poll is.
type progress struct {
	w    io.Writer // nil: nobody watches
	name string
	last time.Time
}

func (a *app) progress(name string) *progress {
	p := &progress{name: name}
	if isTerminal(a.stderr) {
		p.w = a.stderr
	}
	return p
}

func (p *progress) show(now poller.Progress) {
	const often = 100 * time.Millisecond
	if p.w == nil || time.Since(p.last) < often {
		return
	}
	p.last = time.Now()
	fmt.Fprintf(p.w, "\r\x1b[K%s   page %s   %s records   %.1f MB", p.name, count(now.Pages), count(now.Records), float64(now.Bytes)/1e6)
}

func (p *progress) clear() {
	if p.w != nil && !p.last.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
