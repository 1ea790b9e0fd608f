package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// configuration gives what is configured; nothing when that is not known.
func (l Lists) configuration() *config.Config {
	if l.Config == nil {
		return config.Default()
	}
	return l.Config()
}

// Polls lists the polls of a source: those that the journal remembers, and before them those that were written down.
func (l Lists) Polls(ctx context.Context, source string, limit int) ([]PastPoll, error) {
	if limit <= 0 || limit > maxPolls {
		limit = maxPolls
	}
	var recent []poller.Poll
	if l.Journal != nil {
		recent = l.Journal.Polls(source)
	}
	written, err := l.Store.Polls(ctx, source, limit)
	if err != nil {
		return nil, fmt.Errorf("polls of %s: %w", source, err)
	}
	if len(recent) > 0 {
		oldest := recent[len(recent)-1].At
		written = slices.DeleteFunc(written, func(p poller.Poll) bool { return !p.At.Before(oldest) })
	}
	all := append(recent, written...)
	list := make([]PastPoll, 0, limit)
	for i := range all[:min(len(all), limit)] {
		p := pollOf(&all[i])
		if l.hides() {
			p.Excerpt = ""
		}
		list = append(list, p)
	}
	return list, nil
}

// Activity gives the changes of the last 24 hours by source.
func (l Lists) Activity(ctx context.Context, sources []string) (map[string][]Hour, error) {
	all := make(map[string][]Hour, len(sources))
	for _, name := range sources {
		j := l.Journal
		if j == nil || !j.knows(name) { // nothing runs, or another replica polls it
			j = &Journal{}
			polls, err := l.Store.Polls(ctx, name, maxPolls)
			if err != nil {
				return nil, fmt.Errorf("polls of %s: %w", name, err)
			}
			j.Recall(name, polls)
		}
		all[name] = j.Hours(name, time.Now())
	}
	return all, nil
}

// Records lists the known records of a source.
func (l Lists) Records(ctx context.Context, q store.RecordQuery) ([]Record, error) {
	rows, err := l.Store.Records(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("records of %s: %w", q.Source, err)
	}
	list := make([]Record, len(rows))
	for i, r := range rows {
		list[i] = Record{Key: r.Key, Missing: r.Missing}
	}
	return list, nil
}

// Record gives a known record; store.ErrNotFound when there is none.
func (l Lists) Record(ctx context.Context, source, key string) (Record, error) {
	row, err := l.Store.Record(ctx, source, key)
	if err != nil {
		return Record{}, fmt.Errorf("record %q of %s: %w", key, source, err)
	}
	r := Record{Key: row.Key, Missing: row.Missing}
	if !l.hides() {
		r.Body = row.Body
	}
	return r, nil
}

// Detail adds to the state of a source what is configured and remembered.
func (l Lists) Detail(ctx context.Context, s Source, cursor []byte) (SourceDetail, error) {
	activity, err := l.Activity(ctx, []string{s.Name})
	if err != nil {
		return SourceDetail{}, err
	}
	d := SourceDetail{Source: s, Cursor: cursor, Hours: activity[s.Name], Webhooks: []string{}, Settings: []Setting{}}
	d.Day = sum(d.Hours)
	c := l.configuration()
	src, ok := c.Source(s.Name)
	if !ok {
		return d, nil
	}
	for _, w := range c.Webhooks {
		if src.SendsTo(w.Name) {
			d.Webhooks = append(d.Webhooks, w.Name)
		}
	}
	byKey := map[string]string{}
	for _, e := range config.Entries(c, s.Name) {
		d.Settings = append(d.Settings, Setting(e))
		byKey[e.Key] = e.Value
	}
	d.Request = byKey["method"] + " " + byKey["url"]
	if d.Schedule = byKey["cron"]; d.Schedule == "" {
		d.Schedule = byKey["every"]
	}
	return d, nil
}

func sum(list []Hour) (c Changes) {
	for _, h := range list {
		c.Created, c.Updated, c.Deleted = c.Created+h.Created, c.Updated+h.Updated, c.Deleted+h.Deleted
	}
	return c
}

// Source gives one source as it was when the daemon stopped.
func (o Offline) Source(ctx context.Context, name string) (SourceDetail, error) {
	s, cursor, err := o.source(ctx, name)
	if err != nil {
		return SourceDetail{}, err
	}
	return o.Detail(ctx, s, cursor)
}

func (o Offline) source(ctx context.Context, name string) (Source, []byte, error) {
	rows, err := o.Store.Sources(ctx)
	if err != nil {
		return Source{}, nil, fmt.Errorf("read sources: %w", err)
	}
	for _, r := range rows {
		if r.Name == name {
			return SourceOf(r), r.State.Cursor, nil
		}
	}
	if _, ok := o.configuration().Source(name); ok {
		return Source{Name: name, State: "stopped"}, nil, nil
	}
	return Source{}, nil, fmt.Errorf("%w: %s", ErrNoSource, name)
}

// Why tells the story of a record from what is stored.
func (o Offline) Why(ctx context.Context, source, key string) (Story, error) {
	s, _, err := o.source(ctx, source)
	if err != nil {
		return Story{}, err
	}
	polls, err := o.Polls(ctx, source, 0)
	if err != nil {
		return Story{}, err
	}
	return o.Story(ctx, s, key, polls, nil)
}

// Stream needs a daemon.
func (o Offline) Stream(context.Context, StreamQuery, func(Item) error) error { return ErrNotRunning }
