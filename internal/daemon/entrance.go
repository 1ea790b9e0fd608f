package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// entrance is where the admin API is reached. A reload may move it; requests that came in before are answered all the same.
type entrance struct {
	server *http.Server
	listen func(ctx context.Context, network, address string) (net.Listener, error)
	log    *slog.Logger

	mu      sync.Mutex
	address string       // as configured; empty: closed
	current net.Listener // nil: closed
	serving sync.WaitGroup
}

// open makes the admin API, and binds its address.
func (d *Daemon) open(ctx context.Context) error {
	handler, err := d.handler()
	if err != nil {
		return err
	}
	d.entrance = &entrance{listen: d.opts.Listen, log: d.opts.Log, server: &http.Server{
		Handler:           bounded(handler),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(d.opts.Log.Handler(), slog.LevelDebug),
	}}
	if d.entrance.listen == nil {
		d.entrance.listen = new(net.ListenConfig).Listen
	}
	ln, err := d.entrance.bind(ctx, d.current().config.Admin.Listen)
	if err != nil {
		return err
	}
	d.entrance.take(d.current().config.Admin.Listen, ln)
	d.onStop("admin listener", func(context.Context) error { return closed(d.entrance.now()) })
	return nil
}

// Addr is where the admin API listens; empty when it does not.
func (d *Daemon) Addr() string {
	ln := d.entrance.now()
	if ln == nil {
		return ""
	}
	return ln.Addr().String()
}

func (o *entrance) now() net.Listener {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.current
}

// bind gives a listener; nil for an empty address.
func (o *entrance) bind(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // no address, no listener
	}
	ln, err := o.listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("admin.listen = %q: %w; another deltahook or another program may use it", address, err)
	}
	return ln, nil
}

func (o *entrance) take(address string, ln net.Listener) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.address, o.current = address, ln
}

// serve begins to answer.
func (o *entrance) serve() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ln := o.current; ln != nil {
		o.serving.Go(func() { o.answer(ln) })
	}
}

func (o *entrance) answer(ln net.Listener) {
	if err := o.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		o.log.Error("admin API has stopped", "err", err)
	}
}

// prepare binds another address. Where that is the same port of another interface, the former listener has to go first: it is
// opened again when the new one cannot be.
func (o *entrance) prepare(ctx context.Context, address string) (move, undo func(), err error) {
	o.mu.Lock()
	was, former := o.address, o.current
	o.mu.Unlock()
	if address == was {
		return func() {}, func() {}, nil
	}
	ln, err := o.bind(ctx, address)
	if errors.Is(err, syscall.EADDRINUSE) && samePort(was, address) {
		_ = closed(former)
		if ln, err = o.bind(ctx, address); err != nil {
			return nil, nil, errors.Join(err, o.reopen(ctx, was))
		}
		return func() { o.swap(address, ln) }, func() {
			_ = closed(ln)
			if err := o.reopen(ctx, was); err != nil {
				o.log.ErrorContext(ctx, "admin API has stopped", "err", err)
			}
		}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return func() { o.swap(address, ln) }, func() { _ = closed(ln) }, nil
}

// reopen listens again where it did before.
func (o *entrance) reopen(ctx context.Context, address string) error {
	ln, err := o.bind(ctx, address)
	if err == nil {
		o.swap(address, ln)
	}
	return err
}

// swap serves on another listener; what came in through the former one is answered.
func (o *entrance) swap(address string, ln net.Listener) {
	former := o.now()
	o.take(address, ln)
	o.serve()
	_ = closed(former)
	o.server.SetKeepAlivesEnabled(false) // closes the connections that are idle
	o.server.SetKeepAlivesEnabled(true)
}

// answersWithin is how long a stop waits for requests that came in before.
const answersWithin = 3 * time.Second

// shut answers what came in and ends. Who sends or takes too slowly is cut off: polls and deliveries, which end after it, need the time
// that a stop has.
func (o *entrance) shut(ctx context.Context) error {
	patient, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	err := o.server.Shutdown(patient)
	if patient.Err() != nil {
		o.log.InfoContext(ctx, "requests to the admin API that did not end were cut off", "waited", answersWithin.String())
		err = o.server.Close()
	}
	o.serving.Wait()
	if errors.Is(err, net.ErrClosed) { // a reload had closed that listener, and the server was about to notice
		return nil
	}
	return err
}

func samePort(a, b string) bool {
	_, one, err := net.SplitHostPort(a)
	_, other, err2 := net.SplitHostPort(b)
	return err == nil && err2 == nil && one == other
}

// closed closes a listener, if it is one that is open.
func closed(ln net.Listener) error {
	if ln == nil {
		return nil
	}
	if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
