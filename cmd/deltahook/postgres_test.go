package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/store/postgres/pgtest"
)

// startPostgres starts a server whose writes reach the disk, with an empty database.
func startPostgres(t *testing.T) (server *pgtest.Server, database string) {
	t.Helper()
	server, err := pgtest.Start(t.Context(), pgtest.Options{Durable: true})
	if errors.Is(err, pgtest.ErrNotInstalled) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	if database, err = server.Create(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	return server, database
}

func TestOnPostgreSQLItLosesNothingWhenItOrTheServerCrashes(t *testing.T) {
	t.Parallel()
	server, database := startPostgres(t)
	binary := buildBinary(t)
	upstream := newRestless(300)
	api := httptest.NewServer(upstream)
	defer api.Close()
	secret := emitter.GenerateSecret()
	receiver := &hooktest.Receiver{Secrets: []string{secret}, Keep: -1}
	hooks := httptest.NewServer(receiver)
	defer hooks.Close()
	config := thingsConfig(t, server.URL(database), api.URL, hooks.URL, secret, "")

	changing, calm := context.WithCancel(t.Context())
	defer calm()
	go upstream.run(changing)
	moment := rand.New(rand.NewPCG(5, 6))
	some := func() { wait(t.Context(), time.Duration(200+moment.IntN(1500))*time.Millisecond) }
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		stop := startDaemon(t, binary, config)
		running(t, binary, config)
		some()
		restart(t, server)
		some()
		stop(os.Kill)
		// Its lease would run out by itself, in some seconds.
		if err := server.Do(t.Context(), database, `UPDATE dh_member SET expires_at = clock_timestamp()`); err != nil {
			t.Fatal(err)
		}
	}
	calm()
	checkConvergence(t, binary, config, upstream, receiver)
}

// restart lets the server crash and starts it again.
func restart(t *testing.T, server *pgtest.Server) {
	t.Helper()
	if err := server.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := server.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTwoDaemonsShareADatabaseAndCommandsAreRefusedAsLongAsOneLives(t *testing.T) {
	t.Parallel()
	server, database := startPostgres(t)
	binary := buildBinary(t)
	api := httptest.NewServer(newRestless(3))
	defer api.Close()
	receiver := httptest.NewServer(&hooktest.Receiver{})
	defer receiver.Close()
	secret := emitter.GenerateSecret()
	url := strings.Replace(server.URL(database), "postgres@", "postgres:hunter2@", 1) // trusted: any password will do
	first := thingsConfig(t, url, api.URL, receiver.URL, secret, "")
	second := thingsConfig(t, url, api.URL, receiver.URL, secret, "")
	third := thingsConfig(t, url, api.URL, receiver.URL, secret, "")
	stop := startDaemon(t, binary, first)
	running(t, binary, first)
	stopOther := startDaemon(t, binary, second)
	running(t, binary, second)

	// Whoever is asked, the one that looks after the source does it.
	for i, args := range [][]string{{"pause", "things"}, {"resume", "things"}, {"poll", "things"}, {"reset", "things", "--validators", "--yes"}} {
		for _, config := range []string{first, second} {
			if out, code := output(t, binary, append(args, "--config", config)...); code != exitOK {
				t.Errorf("%d: %s ended with %d:\n%s", i, args[0], code, out)
			}
		}
	}

	// Nobody listens where this configuration says: the command looks into the store.
	out, code := output(t, binary, "pause", "things", "--config", third)
	if code != exitTemporary || !strings.Contains(out, "another deltahook works on this database") {
		t.Errorf("a command that writes ended with %d:\n%s", code, out)
	}
	out, code = output(t, binary, "status", "--config", third)
	if code != exitOK || !strings.Contains(out, "things") {
		t.Errorf("a command that looks ended with %d:\n%s", code, out)
	}
	stop(os.Interrupt)
	stopOther(os.Interrupt)
	out, code = output(t, binary, "events", "--config", first)
	if code != exitOK || !strings.Contains(out, "things.created") {
		t.Errorf("events: %d\n%s", code, out)
	}
	if out, code = output(t, binary, "pause", "things", "--config", third); code != exitOK {
		t.Errorf("a command after both have gone ended with %d:\n%s", code, out)
	}
}

// output runs the binary to its end. No password may be in what it says.
func output(t *testing.T, binary string, args ...string) (text string, code int) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "hunter2") {
		t.Errorf("the password is printed:\n%s", out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// running waits until the daemon works.
func running(t *testing.T, binary, config string) {
	t.Helper()
	for range 3000 {
		if exec.CommandContext(t.Context(), binary, "healthcheck", "--config", config).Run() == nil {
			return
		}
		wait(t.Context(), 100*time.Millisecond)
	}
	t.Fatal("the daemon does not start in minutes")
}

func TestAMoveToPostgreSQLAndBackLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	server, database := startPostgres(t)
	binary := buildBinary(t)
	upstream := newRestless(200)
	api := httptest.NewServer(upstream)
	defer api.Close()
	secret := emitter.GenerateSecret()
	receiver := &hooktest.Receiver{Secrets: []string{secret}, Keep: -1}
	hooks := httptest.NewServer(receiver)
	defer hooks.Close()
	changing, calm := context.WithCancel(t.Context())
	defer calm()
	go upstream.run(changing)

	dir := t.TempDir()
	places := []string{"sqlite:" + filepath.Join(dir, "a.db"), server.URL(database), "sqlite:" + filepath.Join(dir, "b.db")}
	var config string
	for i, place := range places {
		if i > 0 {
			if out, code := output(t, binary, "store", "copy", "--from", places[i-1], "--to", place); code != exitOK || !strings.Contains(out, "copied and compared") {
				t.Fatalf("copy to %s: %d\n%s", place, code, out)
			}
			if out, code := output(t, binary, "store", "copy", "--from", places[0], "--to", place); code != exitFailure || !strings.Contains(out, "not empty") {
				t.Errorf("copy to what is not empty: %d\n%s", code, out)
			}
		}
		config = thingsConfig(t, place, api.URL, hooks.URL, secret, "")
		stop := startDaemon(t, binary, config)
		running(t, binary, config)
		wait(t.Context(), 3*time.Second)
		if out, code := output(t, binary, "store", "copy", "--from", place, "--to", "sqlite:"+filepath.Join(dir, "c.db")); code != exitTemporary {
			t.Errorf("copy from under a running daemon: %d\n%s", code, out)
		}
		stop(os.Interrupt)
	}
	calm()
	checkConvergence(t, binary, config, upstream, receiver)
	if again := receiver.Replica.Report().Duplicates; again > 0 {
		t.Errorf("%d events came twice", again)
	}
}
