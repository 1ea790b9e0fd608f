package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/demo"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/poller"
)

func (a *app) demo() *cobra.Command {
	d := &demonstration{app: a}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work: a changing API, the daemon and a verifying receiver in one process",
		Long: "Runs a small legacy-like API whose orders change, the real daemon with a real store in a temporary folder, and a\n" +
			"receiver that verifies every webhook, and shows what happens. At the end the changes made upstream are counted\n" +
			"against the events that arrived. No configuration, no network beyond this machine.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := d.run(cmd.Context()); err != nil {
				return failure(err)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&d.length, "for", 30*time.Second, "how long; at least 8s")
	cmd.Flags().Uint64Var(&d.seed, "seed", uint64(time.Now().UnixNano()), "which changes happen")
	return cmd
}

// demonstration is one run of the demo.
type demonstration struct {
	*app
	length time.Duration
	seed   uint64

	api      *demo.API
	receiver *hooktest.Receiver

	mu      sync.Mutex
	started time.Time
}

const (
	demoOrders = 25
	demoRest   = 4 * time.Second // before the end the API rests, so that everything arrives: two scans confirm a deletion
)

func (d *demonstration) run(ctx context.Context) error {
	d.started = time.Now()
	d.length = max(d.length, 2*demoRest)
	dir, err := os.MkdirTemp("", "deltahook-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	secret := emitter.GenerateSecret()
	d.api = demo.NewAPI(demoOrders, d.seed)
	d.api.Changed = d.showChange
	upstream, stopUpstream, err := serveLocally(ctx, d.api)
	if err != nil {
		return err
	}
	defer stopUpstream()
	d.receiver = &hooktest.Receiver{Secrets: []string{secret}, Keep: -1, Applied: d.showEvent}
	downstream, stopDownstream, err := serveLocally(ctx, d.receiver)
	if err != nil {
		return err
	}
	defer stopDownstream()

	stop, err := d.daemon(ctx, dir, demoConfig(dir, upstream, downstream, secret))
	if err != nil {
		return err
	}
	d.play(ctx)
	err = d.settle(ctx)
	return errors.Join(err, stop(), d.verdict())
}

// serveLocally serves h on a free port of this machine.
func serveLocally(ctx context.Context, h http.Handler) (url string, stop func(), err error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("demo: %w", err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(ln) }()
	return "http://" + ln.Addr().String(), func() { _ = server.Close() }, nil
}

func demoConfig(dir, api, receiver, secret string) string {
	return fmt.Sprintf(`
[source.orders]
url     = "%s/api/orders"
every   = "1s"
records = "items"
key     = "id"
pages   = { kind = "page", param = "page", total = "total" }
deletes = { detect = "scan" }

[webhook.app]
url    = "%s/hooks"
secret = "%s"

[store]
url = "sqlite:%s"

[admin]
listen = "127.0.0.1:0"
`, api, receiver, secret, filepath.ToSlash(filepath.Join(dir, "deltahook.db")))
}

// daemon starts the real thing.
func (d *demonstration) daemon(ctx context.Context, dir, text string) (stop func() error, err error) {
	secrets := d.newSecrets()
	cfg, report := config.Parse([]config.File{{Path: "demo.toml", Text: []byte(text)}}, secrets)
	if err := report.Err(); err != nil {
		return nil, err
	}
	st, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(dir, "deltahook.db")})
	if err != nil {
		return nil, err
	}
	run, err := daemon.New(ctx, daemon.Options{
		Config: cfg, Secrets: secrets, Store: st, Version: version, Log: slog.New(slog.DiscardHandler), Token: "demo",
		Polled: d.showPoll, Delivered: d.showAttempt,
	})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	d.intro(text)
	if err := run.Start(ctx); err != nil {
		return nil, errors.Join(err, run.Stop(ctx), st.Close())
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return errors.Join(run.Stop(ctx), st.Close())
	}, nil
}

func (d *demonstration) intro(text string) {
	source, _, _ := strings.Cut(strings.TrimSpace(text), "\n[store]")
	fmt.Fprintln(d.stdout, "A legacy order system with a REST API and no webhooks, deltahook, and a receiver that verifies. The configuration:")
	for line := range strings.Lines(source) {
		if strings.HasPrefix(line, "secret") {
			line = "secret = \"whsec_…\"\n"
		}
		fmt.Fprint(d.stdout, "  ", d.paint(grey, strings.TrimRight(line, "\n")), "\n")
	}
	fmt.Fprintln(d.stdout)
}

// play lets the API change, and both sides misbehave for a while, until shortly before the end.
func (d *demonstration) play(ctx context.Context) {
	end := time.After(d.length - demoRest)
	tick := time.NewTicker(350 * time.Millisecond)
	defer tick.Stop()
	acts := d.script()
	for {
		select {
		case <-ctx.Done():
			return
		case <-end:
			return
		case <-tick.C:
			d.api.Change()
			if len(acts) > 0 && time.Since(d.started) >= acts[0].at {
				acts[0].do()
				acts = acts[1:]
			}
		}
	}
}

// act is something that goes wrong, or is mended, at a time.
type act struct {
	at time.Duration
	do func()
}

// script is spread over the time in which the API changes.
func (d *demonstration) script() []act {
	span := d.length - demoRest
	at := func(percent int) time.Duration { return span / 100 * time.Duration(percent) }
	return []act{
		{at(30), func() {
			d.say(yellow, "upstream", "! answers a login page with status 200 now: no record is missing, the answer is no listing")
			d.api.Misbehave("login")
		}},
		{at(45), func() { d.say(yellow, "upstream", "! is well again"); d.api.Misbehave("") }},
		{at(60), func() {
			d.say(yellow, "receiver", "! answers 503 now: events wait in the store")
			d.receiver.Set(func(w http.ResponseWriter, _ *http.Request, _ int) bool {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
		}},
		{at(80), func() { d.say(yellow, "receiver", "! is well again"); d.receiver.Set(nil) }},
	}
}

// settle heals both sides and waits until everything has arrived, or for twice the usual time.
func (d *demonstration) settle(ctx context.Context) error {
	d.api.Misbehave("")
	d.receiver.Set(nil)
	late := time.After(3 * demoRest)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for d.receiver.Replica.Report().Events < total(d.api.Changes()) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return errors.New("the demo did not settle: not every change arrived")
		case <-tick.C:
		}
	}
	return nil
}

func total(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// verdict counts the changes upstream against the events that arrived, and compares the records on both sides.
func (d *demonstration) verdict() error {
	changes, report := d.api.Changes(), d.receiver.Replica.Report()
	fmt.Fprintf(d.stdout, "\n%-10s %8s %8s %8s %8s\n", "", "created", "updated", "deleted", "all")
	row := func(name string, counts map[string]int) {
		fmt.Fprintf(d.stdout, "%-10s %8d %8d %8d %8d\n", name, counts["created"], counts["updated"], counts["deleted"], total(counts))
	}
	row("upstream", changes)
	row("verified", report.ByChange)
	for _, kind := range []string{"created", "updated", "deleted"} {
		if changes[kind] != report.ByChange[kind] {
			return fmt.Errorf("%d records were %s upstream and %d such events arrived", changes[kind], kind, report.ByChange[kind])
		}
	}
	if problems := d.receiver.Problems(); len(problems) > 0 {
		return fmt.Errorf("the receiver refused %d webhooks: %w", len(problems), problems[0])
	}
	fmt.Fprintf(d.stdout, "\n%s every change upstream arrived once as a verified webhook, in order (%d sent again, %d out of order).\n",
		d.paint(green, "✓"), report.Duplicates, report.Inversions)
	fmt.Fprintln(d.stdout, "  your own API: deltahook try, then deltahook run (see README.md)")
	return nil
}

// say prints one line with the time since the start.
func (d *demonstration) say(c paint, who, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.stdout, "%5.1fs  %-9s %s\n", time.Since(d.started).Seconds(), who, d.paint(c, text))
}

func (d *demonstration) showChange(kind string, before, after *demo.Order) {
	switch kind {
	case "created":
		d.say(green, "upstream", fmt.Sprintf("+ order %d of %s", after.ID, after.Customer))
	case "updated":
		d.say(yellow, "upstream", fmt.Sprintf("~ order %d: %s → %s", after.ID, before.Status, after.Status))
	case "deleted":
		d.say(red, "upstream", fmt.Sprintf("- order %d", before.ID))
	}
}

func (d *demonstration) showPoll(r poller.Result) {
	switch {
	case r.Err != nil:
		d.say(grey, "deltahook", fmt.Sprintf("poll failed: %v; nothing is changed, it goes on", r.Err))
	case r.Created+r.Updated+r.Deleted > 0:
		d.say(grey, "deltahook", fmt.Sprintf("poll: %d records in %d pages: +%d ~%d -%d, committed", r.Records, r.Pages, r.Created, r.Updated, r.Deleted))
	case r.Missing > 0:
		d.say(grey, "deltahook", fmt.Sprintf("poll: %d missing; a second scan has to confirm it", r.Missing))
	}
}

func (d *demonstration) showAttempt(delivery emitter.Delivery, o emitter.Outcome) {
	if o.Class != emitter.Delivered {
		d.say(grey, "deltahook", fmt.Sprintf("%s %s: the receiver answered %d; it waits and tries again", delivery.Type, delivery.Key, o.Status))
	}
}

func (d *demonstration) showEvent(e hooktest.Event, fresh bool) {
	text := fmt.Sprintf("✓ %s %s, sequence %d, signature verified", e.Type, e.Key, e.Sequence)
	if len(e.Changed) > 0 {
		text += ", changed " + strings.Join(e.Changed, ", ")
	}
	if !fresh {
		text += " (again)"
	}
	d.say(green, "receiver", text)
}
