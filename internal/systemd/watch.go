package systemd

import (
	"context"
	"log/slog"
	"time"
)

// Service is what the manager is told of while the daemon runs.
type Service struct {
	// Status is the line for people.
	Status func(ctx context.Context) string
	// Healthy says why the daemon makes no progress; nil: it does.
	Healthy func(ctx context.Context) error
	Log     *slog.Logger
}

// refresh is how often the line for people is written, and how often at least the watchdog gets a sign of life.
const refresh = 10 * time.Second

// Watch keeps the manager informed until ctx ends. The watchdog gets a sign of life only while the service is healthy: three within the
// time that it allows, so that a late one is not the end.
func (n *Notifier) Watch(ctx context.Context, s Service) {
	if n == nil {
		return
	}
	period := refresh
	if n.watchdog > 0 {
		period = min(period, n.watchdog/3)
	}
	w := &watch{Notifier: n, Service: s, period: period}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		w.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// watch remembers what was said.
type watch struct {
	*Notifier
	Service
	period time.Duration
	at     time.Time // of the last status
	ill    bool
	silent bool
}

func (w *watch) round(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.period)
	defer cancel()
	var err error
	if w.watchdog > 0 && w.healthy(ctx) {
		err = w.alive()
	}
	if now := time.Now(); err == nil && ctx.Err() == nil && now.Sub(w.at) >= refresh {
		err, w.at = w.Notifier.Status(w.Service.Status(ctx)), now
	}
	if ctx.Err() == nil {
		w.complain(ctx, err)
	}
}

// healthy logs when that changes.
func (w *watch) healthy(ctx context.Context) bool {
	err := w.Healthy(ctx)
	switch ill := err != nil; {
	case context.Cause(ctx) == context.Canceled: //nolint:errorlint // the cause itself: the daemon stops
	case ill && !w.ill:
		w.ill = true
		w.Log.ErrorContext(ctx, "the daemon makes no progress; the watchdog of the service manager will restart it unless that ends", "within", w.watchdog.String(), "err", err)
	case !ill && w.ill:
		w.ill = false
		w.Log.InfoContext(ctx, "the daemon makes progress again")
	}
	return err == nil
}

// complain logs the first of several failures to notify.
func (w *watch) complain(ctx context.Context, err error) {
	if err != nil && !w.silent {
		w.Log.WarnContext(ctx, "the service manager cannot be told how the daemon is", "err", err)
	}
	w.silent = err != nil
}
