package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/systemd"
)

// drain is how long a stopping daemon waits for what is in flight. Everything else is in the store already.
const drain = 20 * time.Second

func (a *app) run() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Poll and deliver: the daemon",
		Long: "Polls all sources and delivers their changes until SIGTERM or Ctrl-C, which let deliveries in flight end.\n" +
			"SIGHUP reads the configuration again; a bad file changes nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, secrets, err := a.load()
			if err != nil {
				return err
			}
			st, err := a.openStore(cmd.Context(), cfg, secrets, acting)
			if err != nil {
				return err
			}
			defer closing(a.stderr, st)
			token, err := a.actionToken(cfg, secrets)
			if err != nil {
				return err
			}
			r := &runner{app: a, store: st, token: token}
			return r.run(cmd.Context(), cfg, secrets)
		},
	}
}

// runner keeps a daemon running through reloads.
type runner struct {
	*app
	store store.Store
	token string

	manager *systemd.Notifier
	current atomic.Pointer[daemon.Daemon] // nil while one takes the place of another
}

func (r *runner) run(ctx context.Context, cfg *config.Config, secrets *setting.Secrets) error {
	log := r.logger(cfg, secrets)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	d, err := r.start(ctx, cfg, secrets, log)
	if err != nil {
		return failure(err)
	}
	defer r.manage(ctx, log)()
	for {
		select {
		case <-ctx.Done():
			tell(ctx, log, r.manager.Stopping("stopping; deliveries in flight may end"))
			log.InfoContext(ctx, "stopping; deliveries in flight may end", "wait", drain.String())
			return r.stop(ctx, d)
		case <-hup:
			tell(ctx, log, r.manager.Reloading())
			next, nextSecrets, err := r.load()
			if err != nil {
				log.ErrorContext(ctx, "the configuration was not reloaded; the old one goes on", "err", err)
				tell(ctx, log, r.manager.Ready(r.summary(ctx)))
				continue
			}
			if err := r.stop(ctx, d); err != nil {
				log.WarnContext(ctx, "while stopping for the reload", "err", err)
			}
			if d, err = r.swap(ctx, cfg, next, secrets, nextSecrets, log); err != nil {
				return failure(err)
			}
			cfg, secrets = next, nextSecrets
			tell(ctx, log, r.manager.Ready(r.summary(ctx)))
		}
	}
}

// swap starts the daemon with the next configuration, or with the old one when that cannot run.
func (r *runner) swap(ctx context.Context, old, next *config.Config, oldSecrets, nextSecrets *setting.Secrets, log *slog.Logger) (*daemon.Daemon, error) {
	d, err := r.start(ctx, next, nextSecrets, r.logger(next, nextSecrets))
	if err == nil {
		log.InfoContext(ctx, "configuration reloaded")
		return d, nil
	}
	log.ErrorContext(ctx, "the new configuration cannot run; the old one goes on", "err", err)
	return r.start(ctx, old, oldSecrets, log)
}

func (r *runner) start(ctx context.Context, cfg *config.Config, secrets *setting.Secrets, log *slog.Logger) (*daemon.Daemon, error) {
	d, err := daemon.New(ctx, daemon.Options{
		Config: cfg, Secrets: secrets, Store: r.store, Log: log, Version: version, Token: r.token,
	})
	if err != nil {
		return nil, err
	}
	if err := d.Start(ctx); err != nil {
		return nil, errors.Join(err, r.stop(ctx, d))
	}
	r.current.Store(d)
	log.InfoContext(ctx, "deltahook is running", "version", version, "sources", len(cfg.Sources), "webhooks", len(cfg.Webhooks), "admin", d.Addr())
	return d, nil
}

func (r *runner) stop(ctx context.Context, d *daemon.Daemon) error {
	r.current.Store(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := d.Stop(ctx); err != nil {
		return failure(fmt.Errorf("stop: %w", err))
	}
	return nil
}

// logger writes text for a terminal and JSON elsewhere, unless log.format says otherwise. No secret passes it.
func (a *app) logger(cfg *config.Config, secrets *setting.Secrets) *slog.Logger {
	return newLogger(&redacting{w: a.stderr, secrets: secrets}, cfg.Log.Format, cfg.Log.Slog(), isTerminal(a.stderr))
}

func newLogger(w io.Writer, format string, level slog.Level, terminal bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if format == "json" || (format == "auto" && !terminal) {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
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
