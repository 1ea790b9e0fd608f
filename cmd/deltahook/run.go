package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/internal/systemd"
	"github.com/deltahook/deltahook/internal/tracing"
)

// drain is how long a stopping daemon waits for what is in flight. Everything else is in the store already.
const drain = 20 * time.Second

func (a *app) run() *cobra.Command {
	watch := watchFlag(5 * time.Second)
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Poll and deliver: the daemon",
		Long: "Polls all sources and delivers their changes until SIGTERM or Ctrl-C, which let deliveries in flight end.\n" +
			"The configuration is read again on SIGHUP, by deltahook reload, and when the content of its files has changed (--watch).\n" +
			"Only what changed begins anew; a bad file changes nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, secrets, err := a.load()
			if err != nil {
				return err
			}
			hup := make(chan os.Signal, 1) // from here on, or one that comes while a large store is migrated would end the process
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			r := &runner{app: a, secrets: secrets, watch: time.Duration(watch), hup: hup}
			r.follow(cfg)
			if r.store, err = a.awaitStore(cmd.Context(), cfg, secrets, slog.New(&r.logs)); err != nil {
				return err
			}
			defer closing(a.stderr, r.store)
			defer r.export(cmd.Context(), a.logger(cfg, secrets))()
			return r.run(cmd.Context(), cfg)
		},
	}
	cmd.Flags().Var(&watch, "watch", `how often to look whether the configuration has changed; "off": not at all`)
	return cmd
}

// watchFlag is a duration that can be switched off.
type watchFlag time.Duration

// String gives what was written.
func (w *watchFlag) String() string {
	if *w == 0 {
		return "off"
	}
	return setting.Duration(*w).String()
}

// Set takes a duration or "off".
func (w *watchFlag) Set(text string) error {
	if text == "off" {
		*w = 0
		return nil
	}
	d, err := setting.ParseDuration(text)
	if err != nil || d < time.Second {
		return errors.New(`write a time of a second or more, like "5s", or "off"`)
	}
	*w = watchFlag(d)
	return nil
}

// Type is shown in the help.
func (w *watchFlag) Type() string { return "duration" }

// lockWait is how long a daemon waits for a command that writes to the store before it gives up.
const lockWait = 5 * time.Second

// awaitStore opens the store. A short command may have it at the moment.
func (a *app) awaitStore(ctx context.Context, cfg *config.Config, secrets *setting.Secrets, log *slog.Logger) (store.Store, error) {
	const pause = 100 * time.Millisecond
	deadline := time.Now().Add(lockWait)
	for waits := false; ; waits = true {
		st, err := a.openStore(ctx, cfg, secrets, acting, log)
		locked, ok := errors.AsType[*sqlite.LockedError](err)
		if !ok || time.Now().After(deadline) || !locked.Since.IsZero() && time.Since(locked.Since) > 2*lockWait {
			return st, err
		}
		if !waits {
			log.InfoContext(ctx, "somebody else has the store, perhaps a command that is at work; it is tried again", "wait", lockWait.String(), "err", err)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// runner keeps a daemon running.
type runner struct {
	*app
	store   store.Store
	secrets *setting.Secrets
	watch   time.Duration
	hup     <-chan os.Signal
	logs    logSwitch
	daemon  *daemon.Daemon
	manager *systemd.Notifier
	traces  tracing.Options
	tracer  *tracing.Exporter
}

func (r *runner) run(ctx context.Context, cfg *config.Config) error {
	log := slog.New(&r.logs)
	if err := r.start(ctx, cfg, log); err != nil {
		return failure(err)
	}
	defer r.manage(ctx, log)()
	for {
		select {
		case <-ctx.Done():
			tell(ctx, log, r.manager.Stopping("stopping; deliveries in flight may end"))
			log.InfoContext(ctx, "stopping; deliveries in flight may end", "wait", drain.String())
			return r.stop(ctx)
		case <-r.hup:
			tell(ctx, log, r.manager.Reloading())
			_, _ = r.daemon.Reload(ctx) // it tells what is wrong
			tell(ctx, log, r.manager.Ready(r.summary(ctx)))
		}
	}
}

func (r *runner) start(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	paths, err := r.configPaths()
	if err != nil {
		return err
	}
	// The token for commands lies beside the store that is open, whatever is configured later.
	token := sync.OnceValues(func() (string, error) { return r.newToken(ctx, cfg, r.secrets, r.store) })
	r.daemon, err = daemon.New(ctx, daemon.Options{
		Config: cfg, Secrets: r.secrets, Store: r.store, Log: log, Version: version,
		Name: hostName(), NewToken: token, Paths: paths, Watch: r.watch, Reloaded: r.follow,
		Polled: r.tracer.Polled, Delivered: r.tracer.Attempted, Sampled: r.traces.Sampled,
	})
	if err != nil {
		return err
	}
	if err := r.daemon.Start(ctx); err != nil {
		return errors.Join(err, r.stop(ctx))
	}
	log.InfoContext(ctx, "deltahook is running", "version", version, "sources", len(cfg.Sources), "webhooks", len(cfg.Webhooks), "admin", r.daemon.Addr())
	return nil
}

// hostName gives what other replicas call this one; empty when the machine has no name.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

func (r *runner) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := r.daemon.Stop(ctx); err != nil {
		return failure(fmt.Errorf("stop: %w", err))
	}
	return nil
}

// follow lets the log and the memory be as the configuration says.
func (r *runner) follow(cfg *config.Config) {
	r.logs.use(r.logger(cfg, r.secrets).Handler())
	r.thrift(cfg)
}

// logger writes text for a terminal and JSON elsewhere, unless log.format says otherwise; with priorities when it goes to the journal.
// No secret passes it.
func (a *app) logger(cfg *config.Config, secrets *setting.Secrets) *slog.Logger {
	f, isFile := a.stderr.(*os.File)
	out := &redacting{w: a.stderr, secrets: secrets}
	build := func(w io.Writer) slog.Handler {
		return newHandler(w, cfg.Log.Format, cfg.Log.Slog(), isTerminal(a.stderr))
	}
	if isFile && systemd.ToJournal(a.lookupEnv, f) {
		return slog.New(systemd.Prioritized(out, build))
	}
	return slog.New(build(out))
}

func newHandler(w io.Writer, format string, level slog.Level, terminal bool) slog.Handler {
	opts := &slog.HandlerOptions{Level: level}
	if format == "json" || (format == "auto" && !terminal) {
		return slog.NewJSONHandler(w, opts)
	}
	return slog.NewTextHandler(w, opts)
}

// redacting takes secret values out of what is written, whole lines at a time.
type redacting struct {
	w       io.Writer
	secrets *setting.Secrets
}

func (r *redacting) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.w, r.secrets.Redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
