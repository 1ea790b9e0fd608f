package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
)

var faultKills = flag.Int("fault-kills", 10, "how often the crash test with a receiver that misbehaves kills the binary")

// trouble is what a receiver does to its sender for a while.
type trouble struct {
	name string
	at   hooktest.Fault // instead of taking the event
	lost hooktest.Fault // after having taken it
}

func troubles() []trouble {
	list := []trouble{
		{name: "none"},
		{name: "hangs", at: hooktest.Hang()},
		{name: "stalls in the head", at: hooktest.Stall("HTTP/1.1 200 ")},
		{name: "drips its head", at: hooktest.DripHead(100 * time.Millisecond)},
		{name: "endless head", at: hooktest.EndlessHead()},
		{name: "drips a 500", at: hooktest.Drip(http.StatusInternalServerError, 100*time.Millisecond)},
		{name: "429 for a second", at: hooktest.RetryAfter(http.StatusTooManyRequests, "1")},
		{name: "gone", at: hooktest.Flaky(0.2, 7, hooktest.Status(http.StatusGone))},

		{name: "200 that is cut", lost: hooktest.Cut(http.StatusOK)},
		{name: "200 that drips", lost: hooktest.Drip(http.StatusOK, 100*time.Millisecond)},
		{name: "200 that does not end", lost: hooktest.Endless(http.StatusOK)},
		{name: "200 with a bomb", lost: hooktest.GzipBomb(http.StatusOK, 10<<20)},
		{name: "takes it and resets", lost: hooktest.Flaky(0.5, 8, hooktest.Reset(), hooktest.Close())},
		{name: "takes it and says 502", lost: hooktest.Flaky(0.5, 9, hooktest.Cut(http.StatusBadGateway), hooktest.Status(http.StatusServiceUnavailable))},
		{name: "takes it and hangs", lost: hooktest.Flaky(0.3, 10, hooktest.Hang())},
	}
	for i, f := range hooktest.Transient() {
		list = append(list, trouble{name: fmt.Sprintf("transient %d", i), at: hooktest.Flaky(0.5, uint64(i), f)})
	}
	return list
}

// P7: through kills of the daemon and everything that a receiver can do wrong, its replica ends as upstream is.
func TestP7AReplicaConvergesThroughKillsAndEveryFaultOfItsReceiver(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	upstream := newRestless(100)
	api := httptest.NewServer(upstream)
	defer api.Close()
	secret := emitter.GenerateSecret()
	receiver := &hooktest.Receiver{Secrets: []string{secret}, Keep: -1}
	hooks := httptest.NewServer(receiver)
	defer hooks.Close()
	defer hooks.CloseClientConnections()
	config := thingsConfig(t, "sqlite:"+filepath.Join(t.TempDir(), "deltahook.db"), api.URL, hooks.URL, secret,
		"timeout = \"700ms\"\nretry = { schedule = [\"0s\", \"1s\"] }")

	changing, calm := context.WithCancel(t.Context())
	defer calm()
	go upstream.run(changing)
	chance := rand.New(rand.NewPCG(5, 6))
	all := troubles()
	for i := range *faultKills {
		// Each pass through the list is in another order, so that a short run meets some and a long one all.
		if i%len(all) == 0 {
			chance.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
		}
		next := all[i%len(all)]
		receiver.Set(next.at)
		receiver.SetLost(next.lost)
		stop := startDaemon(t, binary, config)
		resume(t, binary, config)
		// Long enough for some requests, which come slowly after a fault; then at any moment.
		before := receiver.Count()
		for end := time.Now().Add(3 * time.Second); receiver.Count() < before+10 && time.Now().Before(end); {
			wait(t.Context(), 20*time.Millisecond)
		}
		wait(t.Context(), time.Duration(chance.IntN(800))*time.Millisecond)
		stop(os.Kill)
		t.Logf("%s: %d requests so far, %d events", next.name, receiver.Count(), receiver.Replica.Report().Events)
	}
	calm()
	receiver.Set(nil)
	receiver.SetLost(nil)
	checkConvergence(t, binary, config, upstream, receiver)
}

// checkConvergence starts the daemon once more and compares.
func checkConvergence(t *testing.T, binary, config string, upstream *restless, receiver *hooktest.Receiver) {
	t.Helper()
	stop := startDaemon(t, binary, config)
	resume(t, binary, config)
	same := func() bool {
		return upstream.equals(receiver.Replica.Records("things")) && len(receiver.Replica.Missing("things")) == 0
	}
	// However long it takes to deliver what has gathered: nothing is added to it any more.
	events, moved := 0, time.Now()
	for !same() && time.Since(moved) < 5*time.Minute {
		if n := receiver.Replica.Report().Events; n > events {
			events, moved = n, time.Now()
		}
		wait(t.Context(), 100*time.Millisecond)
	}
	stop(os.Interrupt)
	report := receiver.Replica.Report()
	t.Logf("%d requests, %d events, %d duplicates, %d out of order", receiver.Count(), report.Events, report.Duplicates, report.Inversions)
	if !same() {
		t.Errorf("the replica differs from upstream; missing sequences: %v", receiver.Replica.Missing("things"))
	}
	if problems := receiver.Problems(); len(problems) > 0 {
		t.Errorf("%d requests must not have been: %v", len(problems), problems[0])
	}
	if report.Inversions > 0 {
		t.Errorf("%d first deliveries came after a later event of their record", report.Inversions)
	}
}

// resume lets the webhook go on, whatever its gate is like, as soon as the daemon is there.
func resume(t *testing.T, binary, config string) {
	t.Helper()
	for tries := 0; ; tries++ {
		said, err := exec.CommandContext(t.Context(), binary, "healthcheck", "--config", config).CombinedOutput()
		if err == nil {
			break
		}
		if tries == 2400 {
			t.Fatalf("the daemon does not start: %s", said)
		}
		wait(t.Context(), 50*time.Millisecond)
	}
	if said, err := exec.CommandContext(t.Context(), binary, "resume", "app", "--webhook", "--config", config).CombinedOutput(); err != nil {
		t.Fatalf("the webhook cannot be resumed: %s", said)
	}
}
