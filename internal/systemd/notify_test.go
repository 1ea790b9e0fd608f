package systemd

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

// manager is a service manager's end of the socket.
type manager struct {
	*testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T, socket string) *manager {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("systemd is on Linux")
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &manager{T: t, conn: conn}
}

// hears gives the variables of the next datagram.
func (m *manager) hears() map[string]string {
	m.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		m.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := m.conn.Read(buf)
	if err != nil {
		m.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.SplitSeq(string(buf[:n]), "\n") {
		name, value, ok := strings.Cut(line, "=")
		if _, twice := got[name]; !ok || twice {
			m.Errorf("%q is not VARIABLE=value, once each", line)
		}
		got[name] = value
	}
	return got
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

// sd_notify(3): the socket is a path, or begins with @ for the abstract namespace; each datagram has lines VARIABLE=value.
func TestTheManagerHearsOverAPathAndAnAbstractSocket(t *testing.T) {
	dir := t.TempDir()
	for name, socket := range map[string]string{"path": filepath.Join(dir, "notify"), "abstract": "@deltahook-test-" + strconv.Itoa(os.Getpid())} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, socket)
			n, err := New(lookup(map[string]string{"NOTIFY_SOCKET": socket}), 1)
			if err != nil {
				t.Fatal(err)
			}
			before := monotonicMicros()
			for _, step := range []struct {
				say  func() error
				want map[string]string
			}{
				{func() error { return n.Ready("3 sources ok") }, map[string]string{"READY": "1", "STATUS": "3 sources ok"}},
				{func() error { return n.Status("a line\nREADY=1") }, map[string]string{"STATUS": "a line READY=1"}},
				{n.Reloading, map[string]string{"RELOADING": "1", "STATUS": "reloading"}},
				{func() error { return n.Stopping("bye") }, map[string]string{"STOPPING": "1", "STATUS": "bye"}},
				{n.alive, map[string]string{"WATCHDOG": "1"}},
			} {
				if err := step.say(); err != nil {
					t.Fatal(err)
				}
				got := m.hears()
				if at, ok := got["MONOTONIC_USEC"]; ok != (got["RELOADING"] == "1") {
					t.Errorf("%v: RELOADING and MONOTONIC_USEC belong together", got)
				} else if ok {
					usec, err := strconv.ParseInt(at, 10, 64)
					if now := monotonicMicros(); err != nil || usec < before || usec > now || before == 0 {
						t.Errorf("MONOTONIC_USEC=%s is not between %d and %d", at, before, now)
					}
					delete(got, "MONOTONIC_USEC")
				}
				if !maps.Equal(got, step.want) {
					t.Errorf("heard %v, want %v", got, step.want)
				}
			}
		})
	}
}

func TestAManagerThatIsGoneIsAnErrorAndNoPanic(t *testing.T) {
	n, err := New(lookup(map[string]string{"NOTIFY_SOCKET": "/nonexistent/notify"}), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Ready("ok"); err == nil || !strings.Contains(err.Error(), "notify the service manager") {
		t.Errorf("%v", err)
	}
}

func TestWithoutAManagerNothingIsSaid(t *testing.T) {
	n, err := New(lookup(nil), 1)
	if n != nil || err != nil {
		t.Fatalf("%v, %v", n, err)
	}
	if err := errors.Join(n.Ready(""), n.Reloading(), n.Stopping(""), n.Status(""), n.alive()); err != nil {
		t.Error(err)
	}
	n.Watch(t.Context(), Service{}) // and returns
}

// sd_watchdog_enabled(3): the interval is for the process of WATCHDOG_PID, or for any when that is not set.
func TestTheWatchdogIsForTheProcessThatItNames(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		complaint string
	}{
		{"30000000", "", 30 * time.Second, ""},
		{"30000000", "4711", 30 * time.Second, ""},
		{"30000000", "1", 0, ""},
		{"", "4711", 0, ""},
		{"soon", "4711", 0, "WATCHDOG_USEC=soon"},
		{"-1", "4711", 0, "WATCHDOG_USEC=-1"},
	} {
		n, err := New(lookup(map[string]string{"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid}), 4711)
		if n == nil || n.watchdog != c.want || (err != nil) != (c.complaint != "") || err != nil && !strings.Contains(err.Error(), c.complaint) {
			t.Errorf("%+v: %+v, %v", c, n, err)
		}
	}
	if n, err := New(lookup(map[string]string{"NOTIFY_SOCKET": "vsock:2:1234"}), 1); n != nil || err == nil {
		t.Errorf("a socket of another kind: %v, %v", n, err)
	}
}

// watched runs a Watch for some time and gives when signs of life came, and what was said and logged.
func watched(t *testing.T, watchdog, lasting time.Duration, healthy func(ctx context.Context, at time.Duration) error) (alive []time.Duration, statuses int, log string) {
	t.Helper()
	start := time.Now()
	var text strings.Builder
	n := &Notifier{watchdog: watchdog, send: func(message string) error {
		if message == "WATCHDOG=1" {
			alive = append(alive, time.Since(start))
		} else {
			statuses++
		}
		return nil
	}}
	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	n.Watch(ctx, Service{
		Status:  func(context.Context) string { return "fine" },
		Healthy: func(ctx context.Context) error { return healthy(ctx, time.Since(start)) },
		Log:     slog.New(slog.NewTextHandler(&text, nil)),
	})
	return alive, statuses, text.String()
}

func TestTheWatchdogHearsThreeSignsOfLifeInItsTime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		alive, statuses, log := watched(t, 15*time.Second, 59*time.Second, func(context.Context, time.Duration) error { return nil })
		if len(alive) != 12 || statuses != 6 || log != "" {
			t.Errorf("%v, %d statuses, %q", alive, statuses, log)
		}
	})
}

func TestWithoutAWatchdogOnlyTheStatusIsWritten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		alive, statuses, _ := watched(t, 0, 59*time.Second, func(context.Context, time.Duration) error { return errors.New("nobody asks") })
		if len(alive) != 0 || statuses != 6 {
			t.Errorf("%v, %d statuses", alive, statuses)
		}
	})
}

// A daemon that hangs, or says that it makes no progress, is restarted; it is said once.
func TestADaemonThatMakesNoProgressGivesNoSignOfLife(t *testing.T) {
	for name, ill := range map[string]func(ctx context.Context) error{
		"says so": func(context.Context) error { return errors.New("the poll loop stands still") },
		"hangs": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				alive, _, log := watched(t, 30*time.Second, 3*time.Minute, func(ctx context.Context, at time.Duration) error {
					if at >= time.Minute && at < 2*time.Minute {
						return ill(ctx)
					}
					return nil
				})
				if slices.ContainsFunc(alive, func(at time.Duration) bool { return at >= time.Minute && at < 2*time.Minute }) || len(alive) < 11 {
					t.Errorf("signs of life at %v", alive)
				}
				if strings.Count(log, "makes no progress;") != 1 || strings.Count(log, "makes progress again") != 1 {
					t.Errorf("log:\n%s", log)
				}
			})
		})
	}
}
