package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/store/postgres/pgtest"
)

var (
	replicaSources = flag.Int("replica-sources", 100, "sources of the tests with four replicas")
	replicaKills   = flag.Int("replica-kills", 3, "how often they kill a replica")
	replicaStops   = flag.Int("replica-stops", 1, "how often they freeze a replica for three times its lease")
	replicaCrashes = flag.Int("replica-crashes", 1, "how often they let the database crash")
	replicaLease   = flag.Duration("replica-lease", 2*time.Second, "the lease")
	replicaControl = flag.Bool("replica-control", false, "run them without the fence, too, and see that it is noticed")
	replicaEvery   = flag.Duration("replica-every", time.Second, "how often a source is polled")
)

func sourceName(i int) string { return fmt.Sprintf("s%d", i) }

// quartet is four replicas on one database, with what they poll and whom they tell.
type quartet struct {
	t        *testing.T
	binary   string
	server   *pgtest.Server
	database string
	fleet    *fleet
	receiver *hooktest.Receiver
	configs  []string
	running  []*replicaProcess

	addresses []string     // of their admin APIs
	refused   int          // commits, of processes that were killed
	falsely   atomic.Int64 // deleted although it was there
}

// replicaProcess is a replica that runs.
type replicaProcess struct {
	cmd   *exec.Cmd
	log   bytes.Buffer
	ended chan struct{} // closed when it has
}

func newQuartet(t *testing.T, sources int, tags ...string) *quartet {
	t.Helper()
	q := &quartet{t: t, fleet: newFleet(sources)}
	q.server, q.database = startPostgres(t)
	q.binary = buildBinary(t, tags...)
	api := httptest.NewServer(q.fleet)
	t.Cleanup(api.Close)
	secret := emitter.GenerateSecret()
	q.receiver = &hooktest.Receiver{Secrets: []string{secret}, Keep: -1, Applied: func(e hooktest.Event, _ bool) {
		if i, err := strconv.Atoi(e.Source[1:]); err == nil && e.Change == "deleted" && q.fleet.has(i, e.Key) {
			q.falsely.Add(1)
		}
	}}
	hooks := httptest.NewServer(q.receiver)
	t.Cleanup(hooks.Close)
	for range 4 {
		q.configs = append(q.configs, q.config(api.URL, hooks.URL, secret))
	}
	q.running = make([]*replicaProcess, len(q.configs))
	t.Cleanup(func() {
		for i, p := range q.running {
			if p != nil {
				q.signal(i, syscall.SIGCONT)
				q.kill(i)
			}
		}
	})
	return q
}

func (q *quartet) config(api, hooks, secret string) string {
	q.t.Helper()
	var b strings.Builder
	port := freePort(q.t)
	fmt.Fprintf(&b, `[defaults]
every = %q
records = "@this"
key = "id"
initial = "emit"
deletes = { detect = "scan" }
guard = { max_deletes = "100%%" }
[webhook.app]
url = %q
secret = %q
retry = { schedule = ["0s", "200ms", "1s"] }
[store]
url = %q
lease = %q
[admin]
listen = "127.0.0.1:%s"
`, *replicaEvery, hooks, secret, q.server.URL(q.database), *replicaLease, port)
	for i := range q.fleet.sources {
		fmt.Fprintf(&b, "[source.%s]\nurl = \"%s/%d\"\n", sourceName(i), api, i)
	}
	q.addresses = append(q.addresses, "127.0.0.1:"+port)
	path := filepath.Join(q.t.TempDir(), "deltahook.toml")
	writeFile(q.t, path, b.String())
	return path
}

func (q *quartet) start(i int) {
	q.t.Helper()
	p := &replicaProcess{cmd: exec.Command(q.binary, "run", "--watch", "off", "--config", q.configs[i])}
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		q.t.Fatal(err)
	}
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // see ProcessState
	}()
	q.running[i] = p
}

// supervise starts those again that have ended because the database was away when they began.
func (q *quartet) supervise() {
	q.t.Helper()
	for i, p := range q.running {
		select {
		case <-p.ended:
			if p.cmd.ProcessState.ExitCode() != exitTemporary {
				q.t.Errorf("replica %d has ended:\n%s", i, p.log.String())
			}
			q.start(i)
		default:
		}
	}
}

func (q *quartet) startAll() {
	q.t.Helper()
	for i := range q.configs {
		q.start(i)
	}
	for _, config := range q.configs {
		running(q.t, q.binary, config)
	}
}

func (q *quartet) signal(i int, s syscall.Signal) { _ = q.running[i].cmd.Process.Signal(s) }

// kill ends a replica at once.
func (q *quartet) kill(i int) {
	q.t.Helper()
	p := q.running[i]
	q.running[i] = nil
	_ = p.cmd.Process.Kill()
	<-p.ended
	if p.cmd.ProcessState.Exited() && p.cmd.ProcessState.ExitCode() != exitTemporary {
		q.t.Errorf("replica %d ended before it was killed:\n%s", i, p.log.String())
	}
}

// stop ends a replica in good order.
func (q *quartet) stop(i int) {
	q.t.Helper()
	p := q.running[i]
	q.running[i] = nil
	_ = p.cmd.Process.Signal(os.Interrupt)
	<-p.ended
	if !p.cmd.ProcessState.Success() {
		q.t.Errorf("replica %d did not end well: %v\n%s", i, p.cmd.ProcessState, p.log.String())
	}
}

// refusedOf gives how many commits of a replica were refused since it began.
func (q *quartet) refusedOf(i int) int {
	q.t.Helper()
	client := &http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + q.addresses[i] + "/metrics")
	if err != nil {
		return 0 // it has only begun
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		q.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "deltahook_store_commits_fenced_total "); ok {
			refused, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil {
				q.t.Fatal(err)
			}
			return refused
		}
	}
	return 0
}

// allRefused gives how many commits were refused of all replicas, those that were killed, too.
func (q *quartet) allRefused() int {
	q.t.Helper()
	n := q.refused
	for i := range q.running {
		n += q.refusedOf(i)
	}
	return n
}

// converge waits until the receiver holds what all listings hold, and says for how many sources it does not after that time.
func (q *quartet) converge(within time.Duration) (apart int) {
	q.t.Helper()
	for end := time.Now().Add(within); ; wait(q.t.Context(), 200*time.Millisecond) {
		apart = 0
		for i := range q.fleet.sources {
			if !q.fleet.equals(i, q.receiver.Replica.Records(sourceName(i))) {
				apart++
			}
		}
		if apart == 0 || time.Now().After(end) {
			return apart
		}
	}
}

// rampage kills, freezes and crashes while everything changes, freezes on until that is enough, and comes to rest.
func (q *quartet) rampage(enough func() bool) {
	q.t.Helper()
	var ills []func(r *rand.Rand)
	for range *replicaKills {
		ills = append(ills, q.killOne)
	}
	for range *replicaStops {
		ills = append(ills, q.freezeOne)
	}
	for range *replicaCrashes {
		ills = append(ills, func(*rand.Rand) { restart(q.t, q.server) })
	}
	r := rand.New(rand.NewPCG(13, 14))
	r.Shuffle(len(ills), func(i, j int) { ills[i], ills[j] = ills[j], ills[i] })
	changing, calm := context.WithCancel(q.t.Context())
	defer calm()
	go q.fleet.run(changing, 200)
	q.startAll()
	for _, ill := range ills {
		wait(q.t.Context(), time.Duration(r.Int64N(int64(*replicaLease))))
		ill(r)
		q.supervise()
	}
	for range 20 {
		if enough() {
			break
		}
		q.freezeOne(r)
		q.supervise()
	}
	wait(q.t.Context(), time.Second)
}

// killOne kills a replica and starts it again some time later, sometimes after others have taken over.
func (q *quartet) killOne(r *rand.Rand) {
	i := r.IntN(len(q.running))
	q.refused += q.refusedOf(i)
	q.kill(i)
	wait(q.t.Context(), time.Duration(r.Int64N(int64(*replicaLease*3/2))))
	q.start(i)
}

// freezeOne stops a replica until others have long taken over, and wakes it up.
func (q *quartet) freezeOne(r *rand.Rand) {
	i := r.IntN(len(q.running))
	q.signal(i, syscall.SIGSTOP)
	wait(q.t.Context(), 3**replicaLease)
	q.signal(i, syscall.SIGCONT)
	wait(q.t.Context(), *replicaLease)
}

// verdict is what came of a rampage.
type verdict struct {
	apart, missing, falsely, inversions, problems int
	events, repeated, refused                     int
}

func (v verdict) kept() bool {
	return v.apart == 0 && v.missing == 0 && v.falsely == 0 && v.inversions == 0 && v.problems == 0
}

func (q *quartet) judge(within time.Duration) (v verdict) {
	q.t.Helper()
	v.apart = q.converge(within)
	for i := range q.fleet.sources {
		v.missing += len(q.receiver.Replica.Missing(sourceName(i)))
	}
	problems := q.receiver.Problems()
	for _, err := range problems[:min(len(problems), 3)] {
		q.t.Log(err)
	}
	report := q.receiver.Replica.Report()
	v.falsely, v.inversions, v.problems = int(q.falsely.Load()), report.Inversions, len(problems)
	v.events, v.repeated = report.Events, report.Duplicates
	v.refused = q.allRefused()
	q.t.Logf("%+v", v)
	return v
}

// The replicas trust themselves for ever here: it is the database that has to refuse them.
func TestFourReplicasLoseNothingAndKeepTheOrderWhateverDies(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector sees nothing of other processes")
	}
	t.Parallel()
	q := newQuartet(t, *replicaSources, "deltahook_blind")
	// One that freezes between two polls has nothing to commit that is stale.
	q.rampage(func() bool { return *replicaStops == 0 || q.allRefused() > 0 })
	v := q.judge(5 * time.Minute)
	if !v.kept() {
		t.Errorf("promises are broken: %+v", v)
	}
	if v.refused == 0 && *replicaStops > 0 {
		t.Error("no stale commit was refused: the test shows nothing")
	}
}

// What the fence is for: without it the same goes wrong.
func TestFourReplicasWithoutTheFenceAreSeenToFail(t *testing.T) {
	if !*replicaControl {
		t.Skip("the control of another test; say -replica-control")
	}
	t.Parallel()
	q := newQuartet(t, *replicaSources, "deltahook_blind", "deltahook_unfenced")
	q.rampage(func() bool { return true })
	if v := q.judge(15 * time.Second); v.kept() {
		t.Errorf("nobody noticed that the fence is gone: %+v", v)
	}
}
