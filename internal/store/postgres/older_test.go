package postgres_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/store/postgres"
)

// One that commits under the statements of before would leave events in no queue.
func TestASchemaThatOlderReplicasCannotWorkWithWaitsUntilTheyHaveStopped(t *testing.T) {
	needServer(t)
	name, err := server.Create(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	old, err := postgres.OpenAs(t.Context(), postgres.Options{URL: server.URL(name)}, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }()
	a, err := old.Join(t.Context(), "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}

	waits := make(chan string, 100)
	opened := make(chan error)
	go func() {
		s, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(name), Log: slog.New(slog.NewTextHandler(lines(waits), nil))})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	select {
	case line := <-waits:
		if !strings.Contains(line, "until they have stopped") || !strings.Contains(line, "replicas=[a]") {
			t.Error(line)
		}
	case err := <-opened:
		t.Fatalf("it is opened (%v) while an older replica works", err)
	}
	if err := a.Heartbeat(t.Context()); err != nil {
		t.Errorf("the older one works no more: %v", err)
	}
	if err := a.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	for what, join := range map[string]func() error{
		"that was away": func() error { return a.Rejoin(t.Context()) },
		"that had not joined yet": func() error {
			_, err := old.Join(t.Context(), "b", time.Minute)
			return err
		},
	} {
		if err := join(); err == nil || !strings.Contains(err.Error(), "run the newer version") {
			t.Errorf("an older one %s joins: %v", what, err)
		}
	}
}

// lines takes what is logged.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}
