package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
)

// watching shows the status again and again.
type watching struct {
	*app
	every  time.Duration
	times  int
	asJSON bool
}

// once writes the status as it is, to the stdout of the app.
func (w *watching) once(ctx context.Context, to *app) error {
	view, done, err := w.view(ctx, reading)
	if err != nil {
		return err
	}
	defer done()
	s, err := view.Status(ctx)
	if err != nil {
		return failure(err)
	}
	if w.asJSON {
		return jsonLines(to.stdout, statusLines(s))
	}
	return to.printStatus(s, time.Now())
}

// run shows the status until ctx ends. What goes wrong is shown, too: the daemon may come back.
func (w *watching) run(ctx context.Context) error {
	if w.every < time.Second/10 {
		return usage(fmt.Sprintf("--interval %s is too short", w.every), "write 1s or more")
	}
	for n := 1; ; n++ {
		err := w.show(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // a person ended it
		}
		if n == w.times || err != nil && n == 1 {
			return err
		}
		if !waitFor(ctx, w.every) {
			return nil
		}
	}
}

// show draws one status. The whole of it is written at once, so that a terminal does not flicker.
func (w *watching) show(ctx context.Context) error {
	var out bytes.Buffer
	to := *w.app
	process := *w.process
	process.stdout = &out
	to.process = &process
	err := w.once(ctx, &to)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // a person ended it
	}
	if err != nil {
		out.Reset()
		fmt.Fprintln(&out, err)
	}
	switch {
	case w.asJSON:
		_, _ = w.stdout.Write(out.Bytes())
	case w.terminal:
		w.steer(screen(harmless(out.String()), w.height, time.Now()))
	default:
		fmt.Fprintf(w.stdout, "%s\n%s\n", time.Now().Format(time.RFC3339), out.String())
	}
	return err
}

// screen draws a text over what was there before. What does not fit is cut off at the end.
func screen(text string, height int, now time.Time) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if room := height - 3; room > 0 && len(lines) > room {
		lines = append(lines[:room-1], fmt.Sprintf("… and %s; all of it: deltahook status", plural(len(lines)-room+1, "more line")))
	}
	const home, restOfLine, below = "\x1b[H", "\x1b[K\n", "\x1b[J"
	lines = append([]string{now.Format("15:04:05") + "   Ctrl-C ends this", ""}, lines...)
	return home + strings.Join(lines, restOfLine) + restOfLine + below
}
