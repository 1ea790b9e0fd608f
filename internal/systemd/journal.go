package systemd

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
)

// ToJournal says whether a stream is the one that the service manager has connected with the journal: JOURNAL_STREAM, see
// systemd.exec(5), has its device and inode. A child whose output was led elsewhere has the variable too.
func ToJournal(lookupEnv func(string) (string, bool), stream interface{ Stat() (fs.FileInfo, error) }) bool {
	text, _ := lookupEnv("JOURNAL_STREAM")
	device, inode, ok := strings.Cut(text, ":")
	if !ok {
		return false
	}
	dev, err1 := strconv.ParseUint(device, 10, 64)
	ino, err2 := strconv.ParseUint(inode, 10, 64)
	info, err3 := stream.Stat()
	if err1 != nil || err2 != nil || err3 != nil {
		return false
	}
	d, i, ok := identity(info)
	return ok && d == dev && i == ino
}

// Prioritized makes a handler that writes each line with the priority that the journal gives it, see sd-daemon(3): "<4>" is a warning.
// Each level has a handler of its own, which build makes around a writer.
func Prioritized(w io.Writer, build func(w io.Writer) slog.Handler) slog.Handler {
	p := &priorities{}
	for i, prefix := range [...]string{"<7>", "<6>", "<4>", "<3>"} {
		p.levels[i] = build(&prefixed{w: w, prefix: prefix})
	}
	return p
}

// prefixed writes whole lines.
type prefixed struct {
	w      io.Writer
	prefix string
}

func (p *prefixed) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// priorities are handlers for debug, info, warn and error.
type priorities struct{ levels [4]slog.Handler }

func (p *priorities) of(l slog.Level) slog.Handler {
	switch {
	case l < slog.LevelInfo:
		return p.levels[0]
	case l < slog.LevelWarn:
		return p.levels[1]
	case l < slog.LevelError:
		return p.levels[2]
	}
	return p.levels[3]
}

// Enabled asks the handler of the level.
func (p *priorities) Enabled(ctx context.Context, l slog.Level) bool { return p.of(l).Enabled(ctx, l) }

// Handle gives the record to the handler of its level.
func (p *priorities) Handle(ctx context.Context, r slog.Record) error {
	return p.of(r.Level).Handle(ctx, r)
}

// WithAttrs gives the attributes to all handlers.
func (p *priorities) WithAttrs(attrs []slog.Attr) slog.Handler {
	return p.with(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup opens the group in all handlers.
func (p *priorities) WithGroup(name string) slog.Handler {
	return p.with(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (p *priorities) with(do func(slog.Handler) slog.Handler) slog.Handler {
	next := &priorities{}
	for i, h := range p.levels {
		next.levels[i] = do(h)
	}
	return next
}
