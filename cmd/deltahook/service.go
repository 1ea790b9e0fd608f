package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/systemd"
	"github.com/deltahook/deltahook/internal/tracing"
)

// manage begins to tell the service manager, if there is one, how the daemon is. What it returns ends that.
func (r *runner) manage(ctx context.Context, log *slog.Logger) (end func()) {
	manager, err := systemd.New(r.lookupEnv, os.Getpid())
	if err != nil {
		log.WarnContext(ctx, "the service manager", "err", err)
	}
	r.manager = manager
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a daemon that drains still makes progress
	var watching sync.WaitGroup
	watching.Go(func() {
		manager.Watch(ctx, systemd.Service{Status: r.summary, Healthy: r.healthy, Log: log})
	})
	tell(ctx, log, manager.Ready(r.summary(ctx)))
	return func() {
		cancel()
		watching.Wait()
	}
}

// export begins to export traces, if the environment asks for it. What it returns ends that.
func (r *runner) export(ctx context.Context, log *slog.Logger) (end func()) {
	options, err := tracing.FromEnvironment(r.lookupEnv)
	if err != nil {
		log.WarnContext(ctx, "no traces are exported", "err", err)
	}
	r.traces, r.tracer = options, tracing.Start(options, version, log)
	return r.tracer.Stop
}

func tell(ctx context.Context, log *slog.Logger, err error) {
	if err != nil {
		log.WarnContext(ctx, "the service manager cannot be told", "err", err)
	}
}

// healthy says why the running daemon makes no progress.
func (r *runner) healthy(ctx context.Context) error { return r.daemon.Health(ctx) }

// summary is the line that systemctl status shows.
func (r *runner) summary(ctx context.Context) string {
	s, err := r.daemon.Status(ctx)
	if err != nil {
		return "the store does not answer: " + err.Error()
	}
	return summarize(s, time.Now())
}

// summarize sums up a status in one line: "3 sources ok, 1 failing (crm 14m), 12 queued".
func summarize(s admin.Status, now time.Time) string {
	sources := tally{}
	for _, source := range s.Sources {
		sources.add(source.State, source.Name, source.Since, now)
	}
	webhooks := tally{}
	var queued, parked int64
	for _, w := range s.Webhooks {
		webhooks.add(w.State, w.Name, time.Time{}, now)
		queued, parked = queued+w.Queued, parked+w.Parked
	}
	parts := []string{plural(sources.ok, "source") + " ok"}
	parts = append(parts, sources.others("")...)
	parts = append(parts, webhooks.others("webhook")...)
	for _, n := range []struct {
		count int64
		word  string
	}{{queued, "queued"}, {parked, "parked"}} {
		if n.count > 0 {
			parts = append(parts, count(n.count)+" "+n.word)
		}
	}
	return strings.Join(parts, ", ")
}

// tally counts things by state and names those that are not ok.
type tally struct {
	ok    int
	names map[string][]string // by state
}

func (t *tally) add(state, name string, since, now time.Time) {
	if state == "ok" {
		t.ok++
		return
	}
	if t.names == nil {
		t.names = map[string][]string{}
	}
	if !since.IsZero() {
		name += " " + ago(now, since)
	}
	t.names[state] = append(t.names[state], name)
}

// others lists what is not ok, the worst first; thing says of what, unless that goes without saying.
func (t *tally) others(thing string) (parts []string) {
	const named = 3
	for _, state := range []string{"failing", "held", "quiet", "recovering", "paused", "baselining", "waiting"} {
		names := t.names[state]
		if len(names) == 0 {
			continue
		}
		lead := count(len(names)) + " "
		if thing != "" {
			lead = plural(len(names), thing) + " "
		}
		list := strings.Join(names[:min(len(names), named)], ", ")
		if len(names) > named {
			list += ", …"
		}
		parts = append(parts, fmt.Sprintf("%s%s (%s)", lead, state, list))
	}
	return parts
}
