package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
)

// The whole way of a Type=notify service: ready, reloaded by SIGHUP with a good and with a bad file, stopped by request.
func TestTheServiceManagerHearsOfStartReloadAndStop(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("systemd is on Linux")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }()
	file := filepath.Join(dir, "deltahook.toml")
	write := func(more string) {
		text := fmt.Sprintf(`
[source.a]
url = "http://127.0.0.1:1/"
key = "id"
every = "1h"
on_start = "schedule"
[webhook.app]
url = "http://127.0.0.1:1/"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
[store]
url = "sqlite:%s/deltahook.db"
[admin]
listen = "127.0.0.1:0"
%s`, dir, more)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// hears waits for a message of this kind; signs of life and status lines come in between.
	hears := func(variable string) string {
		t.Helper()
		for {
			if err := manager.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 4096)
			n, err := manager.Read(buf)
			if err != nil {
				t.Fatalf("waiting for %s: %v", variable, err)
			}
			if said := string(buf[:n]); strings.HasPrefix(said, variable) {
				return said
			}
		}
	}
	write("")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan int, 1)
	go func() {
		ended <- execute(ctx, &process{
			args: []string{"run", "--config", file}, stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard,
			lookupEnv: func(name string) (string, bool) {
				v, ok := map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "300000"}[name]
				return v, ok
			},
		})
	}()
	if said := hears("READY=1"); !strings.Contains(said, "STATUS=0 sources ok, 1 waiting (a)") {
		t.Errorf("%q", said)
	}
	hears("WATCHDOG=1")
	for _, more := range []string{"[log]\nlevel = \"warn\"\n", "[log]\nlevl = \"warn\"\n"} {
		write(more)
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if said := hears("RELOADING=1"); !strings.Contains(said, "MONOTONIC_USEC=") {
			t.Errorf("%q", said)
		}
		hears("READY=1")
		hears("WATCHDOG=1")
	}
	stop()
	hears("STOPPING=1")
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestTheStatusLineNamesWhatIsNotWell(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	source := func(name, state string, minutes int) admin.Source {
		s := admin.Source{Name: name, State: state}
		if minutes > 0 {
			s.Since = now.Add(-time.Duration(minutes) * time.Minute)
		}
		return s
	}
	for want, s := range map[string]admin.Status{
		"0 sources ok": {},
		"3 sources ok, 1 failing (crm 14m), 12 queued": {
			Sources:  []admin.Source{source("a", "ok", 5), source("b", "ok", 0), source("c", "ok", 0), source("crm", "failing", 14)},
			Webhooks: []admin.Webhook{{Name: "app", State: "ok", Queued: 12}},
		},
		"1 source ok, 4 failing (a, b, c, …), 1 held (stock 3h), 1 paused (old), 1 webhook failing (erp), 1,200 queued, 2 parked": {
			Sources: []admin.Source{
				source("stock", "held", 200), source("old", "paused", 0), source("x", "ok", 0),
				source("a", "failing", 0), source("b", "failing", 0), source("c", "failing", 0), source("d", "failing", 0),
			},
			Webhooks: []admin.Webhook{{Name: "app", State: "ok", Queued: 1000, Parked: 2}, {Name: "erp", State: "failing", Queued: 200}},
		},
	} {
		if got := summarize(s, now); got != want {
			t.Errorf("%s\nwant: %s", got, want)
		}
	}
}
