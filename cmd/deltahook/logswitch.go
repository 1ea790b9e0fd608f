package main

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// logSwitch is a handler that a reload replaces, also for loggers that were made of it before.
type logSwitch struct {
	now   *atomic.Pointer[slog.Handler] // shared with those that were made of it
	shape func(slog.Handler) slog.Handler
}

// use replaces the handler.
func (l *logSwitch) use(h slog.Handler) {
	if l.now == nil {
		l.now = &atomic.Pointer[slog.Handler]{}
	}
	l.now.Store(&h)
}

func (l *logSwitch) handler() slog.Handler {
	h := *l.now.Load()
	if l.shape != nil {
		h = l.shape(h)
	}
	return h
}

// Enabled is part of slog.Handler.
func (l *logSwitch) Enabled(ctx context.Context, level slog.Level) bool {
	return (*l.now.Load()).Enabled(ctx, level)
}

// Handle is part of slog.Handler.
func (l *logSwitch) Handle(ctx context.Context, r slog.Record) error { //nolint:gocritic // the signature is that of slog.Handler
	return l.handler().Handle(ctx, r)
}

// WithAttrs is part of slog.Handler.
func (l *logSwitch) WithAttrs(attrs []slog.Attr) slog.Handler {
	return l.shaped(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup is part of slog.Handler.
func (l *logSwitch) WithGroup(name string) slog.Handler {
	return l.shaped(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (l *logSwitch) shaped(more func(slog.Handler) slog.Handler) slog.Handler {
	before := l.shape
	return &logSwitch{now: l.now, shape: func(h slog.Handler) slog.Handler {
		if before != nil {
			h = before(h)
		}
		return more(h)
	}}
}
