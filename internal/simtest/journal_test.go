package simtest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// journal is the log of the process, as a person reads it.
type journal struct {
	mu     sync.Mutex
	lines  []string
	alerts map[string]bool // sources and webhooks that are said to fail, and not yet to have recovered
	leak   string          // a line that has a secret
}

// notes is the journal as the process writes it.
type notes struct {
	*journal

	attrs string
}

// Enabled takes all.
func (notes) Enabled(context.Context, slog.Level) bool { return true }

// WithGroup is not used.
func (n notes) WithGroup(string) slog.Handler { return n }

// WithAttrs adds to each line.
func (n notes) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		n.attrs += fmt.Sprintf(" %s=%v", a.Key, a.Value)
	}
	return n
}

// Handle keeps a line.
func (n notes) Handle(_ context.Context, r slog.Record) error {
	line := r.Message + n.attrs
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	n.add(r.Message, fmt.Sprintf("%s %s %s", r.Time.Format(time.TimeOnly), r.Level, line))
	return nil
}

// keptLines is how much of the journal is shown when something is wrong.
const keptLines = 400

func (j *journal) add(message, line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, secret := range secretTexts() {
		if strings.Contains(line, secret) {
			j.leak = line
		}
	}
	if who := subject(line); who != "" {
		if j.alerts == nil {
			j.alerts = map[string]bool{}
		}
		switch {
		case strings.Contains(message, "is failing"):
			j.alerts[who] = true
		case strings.Contains(message, "has recovered"):
			delete(j.alerts, who)
		}
	}
	if j.lines = append(j.lines, line); len(j.lines) > 2*keptLines {
		j.lines = append([]string(nil), j.lines[keptLines:]...)
	}
}

// subject gives the source or the webhook that a line is about.
func subject(line string) string {
	for _, kind := range []string{" source=", " webhook="} {
		if _, rest, ok := strings.Cut(line, kind); ok {
			name, _, _ := strings.Cut(rest, " ")
			return kind + name
		}
	}
	return ""
}

// restarted forgets what was said before: a new process says it again.
func (j *journal) restarted() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.alerts = nil
}

// alerted says whether a person knows that a source fails.
func (j *journal) alerted(source string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.alerts[" source="+source]
}

func (j *journal) leaked() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.leak
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}
