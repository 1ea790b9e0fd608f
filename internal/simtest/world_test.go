package simtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/internal/store/sqlite/faultdisk"
	"github.com/deltahook/deltahook/poller"
)

const (
	adminAddress = "127.0.0.1:9644"
	adminToken   = "planted-admin-token"
)

// world is one simulated world: APIs, receivers, a disk, a network, and the process between them.
type world struct {
	t       *testing.T
	seed    uint64
	chance  *rand.Rand // of the plan
	plant   plant
	pace    time.Duration // between two acts of the plan, about
	clock   time.Duration // what it shows when the next age begins
	jumps   bool          // the age ends, and the clock is set
	offset  time.Duration // of the clocks of others, which nobody sets, to that of the process
	outside time.Time     // what they showed last
	step    atomic.Int64  // see doc.go

	net       *network
	dir       string
	disk      *faultdisk.Disk
	upstreams []*upstream
	receivers []*receiver
	truth     *truth
	journal   *journal

	running  *settings // of the process that runs
	other    *settings // that it may have instead: it was told to reload them, and nobody knows what came of it
	former   *settings // that it had before it was reloaded
	reloaded time.Time
	wanted   *settings             // of the next process
	asked    map[string]admin.Verb // what a person lets be done to the records of a source
	text     string                // of the configuration that was read last
	config   *config.Config        // that it came to
	secrets  *setting.Secrets      // that it speaks of
	life     atomic.Int64
	process  *process        // nil: none runs
	paused   map[string]bool // sources that a person has paused, or perhaps

	ills  ills
	polls polls

	mu     sync.Mutex
	broken *violation // the first one
}

// process is a daemon and its store.
type process struct {
	store   *sqlite.Store
	daemon  *daemon.Daemon
	client  *admin.Client
	started time.Time
}

// violation is a promise that was broken.
type violation struct {
	promise int
	step    int64
	text    string
}

func (v *violation) String() string {
	return fmt.Sprintf("P%d at step %d: %s", v.promise, v.step, v.text)
}

// violated notes a broken promise; the first one counts.
func (w *world) violated(promise int, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = &violation{promise, w.step.Load(), fmt.Sprintf(format, args...)}
	}
}

func (w *world) violation() *violation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

// newWorld makes the world of a seed. The first source and the first webhook never fail.
func newWorld(t *testing.T, seed uint64, p plant) *world {
	t.Helper()
	w := &world{
		t: t, seed: seed, chance: rand.New(rand.NewPCG(seed, 1)), plant: p, dir: t.TempDir(), truth: newTruth(), paused: map[string]bool{}, asked: map[string]admin.Verb{}, journal: &journal{},
	}
	w.pace = []time.Duration{300 * time.Millisecond, 2 * time.Second, 10 * time.Second, time.Minute}[w.chance.IntN(4)]
	var err error
	if w.disk, err = faultdisk.New(w.dir); err != nil {
		t.Fatal(err)
	}
	w.disk.Fail(w.ills.judge)
	w.ills.die = w.die
	s := &settings{keep: max(20*w.pace, 10*time.Second)}
	for n := range 4 {
		w.receivers = append(w.receivers, newReceiver(w, n+1))
		s.hooks = append(s.hooks, w.newHook(w.receivers[n]))
	}
	s.hooks[0] = hookSettings{receiver: w.receivers[0], order: "key", inFlight: 8, timeout: 5 * time.Second, maxQueue: 1_000_000}
	w.receivers[0].steady = true
	s.hooks[2].maxQueue = []int{30, 1_000_000}[w.chance.IntN(2)]
	for n := range 3 {
		kinds := pageKinds()
		if p.kind != "" && n > 0 {
			kinds = slices.DeleteFunc(kinds, func(k pageKind) bool { return k.name != p.kind })
		}
		kind := kinds[w.chance.IntN(len(kinds))]
		u := newUpstream(w, n+1, kind)
		u.calm = n == 0
		w.upstreams = append(w.upstreams, u)
		s.sources = append(s.sources, w.newSource(u))
	}
	if p.first != nil {
		p.first(w, s)
	}
	w.wanted = s
	return w
}

func (w *world) newHook(r *receiver) hookSettings {
	h := hookSettings{
		receiver: r, order: []string{"key", "source", "none"}[w.chance.IntN(3)], inFlight: 1 + w.chance.IntN(8), timeout: 5 * time.Second, maxQueue: 1_000_000,
	}
	if w.chance.IntN(4) == 0 {
		h.wants = w.newWish()
	}
	if w.chance.IntN(3) == 0 {
		h.batch = 2 + w.chance.IntN(8)
	}
	if h.coalesce = h.order != "source" && w.chance.IntN(2) == 0; h.coalesce {
		h.wait = w.pace * time.Duration(w.chance.IntN(3)*5)
	}
	return h
}

func (w *world) newSource(u *upstream) sourceSettings {
	s := sourceSettings{
		upstream: u, every: w.pace * time.Duration(1+w.chance.IntN(5)), confirm: 1 + w.chance.IntN(3), key: byID,
		initial: []string{"baseline", "emit"}[w.chance.IntN(2)], compared: comparison{ignore: "seen"}, guarded: w.chance.IntN(3) == 0,
	}
	s.every = max(s.every, time.Second)
	if !u.kind.verify && u.kind.live && !u.kind.sorted {
		s.confirm = max(s.confirm, 2)
	}
	if u.calm {
		s.to = []string{w.receivers[0].name} // a webhook whose queue is full stops its sources
	}
	if w.chance.IntN(3) == 0 {
		s.where, s.silent = "s0", w.chance.IntN(3) == 0
	}
	s.compared.ignore = s.ignoring(s.compared.ignore)
	if u.since != nil {
		s.whole = s.every * time.Duration(3+w.chance.IntN(5))
	}
	if u.kind.detail != "" {
		s.details = w.newDetails()
	}
	if u.kind.parts {
		s.parts = partNames()
	}
	if w.chance.IntN(4) == 0 {
		s.compared.fields = "id,uid,n,price,status,seen"
	}
	return s
}

// receiver gives the receiver of a webhook.
func (w *world) receiver(webhook string) *receiver {
	return w.receivers[slices.IndexFunc(w.receivers, func(r *receiver) bool { return r.name == webhook })]
}

// serve puts the servers up.
func (w *world) serve() {
	for _, u := range w.upstreams {
		w.net.serve(u.address, u)
	}
	for _, r := range w.receivers {
		w.net.serve(r.address, r)
	}
	w.net.serve(foreign+":80", http.HandlerFunc(w.foreign))
}

// age lives until so many steps are done and all is at rest, or until the clock jumps: virtual time can only be set by beginning
// another age of the same world. It says whether there is more to come.
func (w *world) age(t *testing.T, steps int64) (more bool) {
	t.Helper()
	w.t, w.net, w.jumps = t, newNetwork(), false
	time.Sleep(w.clock)
	start := time.Now()
	w.outside = cmp.Or(w.outside, start.UTC())
	w.offset = w.outside.Sub(start)
	w.ills.restarted()
	w.serve()
	w.start()
	for w.step.Load() < steps && w.violation() == nil && !w.jumps {
		w.act()
		time.Sleep(time.Duration(w.chance.Int64N(int64(2 * w.pace))))
		w.watch()
	}
	if w.violation() == nil && !w.jumps {
		w.rest()
	}
	w.end()
	w.outside = w.now()
	w.clock = max(w.clock+time.Since(start)+w.jump(), 0)
	return w.jumps && w.violation() == nil
}

// jump gives how far the clock is set.
func (w *world) jump() time.Duration {
	return []time.Duration{-24 * time.Hour, -time.Hour, -time.Minute, time.Minute, time.Hour, 24 * time.Hour}[w.chance.IntN(6)]
}

// end stops everything, whatever state it is in.
func (w *world) end() {
	w.ills.heal()
	if w.process != nil {
		if w.ills.dying() || w.violation() != nil || w.jumps {
			w.bury()
		} else {
			w.stop()
		}
	}
	w.net.kill()
	w.net.close()
	time.Sleep(time.Minute) // who still waits for a connection gives up
}

// start starts a process. It says whether it runs.
func (w *world) start() bool {
	w.step.Add(1)
	life := int(w.life.Add(1))
	w.disk.Thaw()
	w.net.revive()
	w.ills.born()
	path := filepath.Join(w.dir, "deltahook.db")
	st, err := sqlite.Open(w.t.Context(), sqlite.Options{Path: path, Log: slog.New(notes{w.journal, ""})})
	if err != nil {
		return w.stillborn(fmt.Errorf("open the store: %w", err))
	}
	w.checkStore(st) // by what was configured
	w.reconfigure()
	w.journal.restarted()
	w.polls.restarted()
	d, err := daemon.New(w.t.Context(), w.options(st, life))
	if err == nil {
		err = d.Start(w.t.Context())
	}
	if err != nil {
		if d != nil {
			err = errors.Join(err, d.Stop(dead()))
		}
		_ = st.Close()
		return w.stillborn(err)
	}
	w.process = &process{store: st, daemon: d, client: w.client(), started: time.Now()}
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	w.noteBack(w.running, false)
	return true
}

// reconfigure lets the settings be those of the next process.
func (w *world) reconfigure() {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	if w.running != nil {
		w.noteEdits(w.wanted)
	}
	w.running, w.other, w.former, w.reloaded = w.wanted, nil, nil, time.Time{}
	w.noteBack(w.running, true) // until the process runs, and so has told its store
	clear(w.asked)
	for _, u := range w.upstreams {
		u.interrupted()
	}
	for i := range w.running.hooks {
		h := &w.running.hooks[i]
		h.ordered(h.order, h.order, time.Time{})
	}
}

// stillborn is a process that does not come up: that may be, while its disk fails or it is killed at once.
func (w *world) stillborn(err error) bool {
	if !w.ills.any() && !w.ills.dying() {
		w.violated(12, "it does not start: %v", err)
	}
	w.ills.born()
	w.process = nil
	return false
}

// options makes the daemon of the settings, with the planted bug if there is one.
func (w *world) options(st *sqlite.Store, life int) daemon.Options {
	cfg, hidden := w.parsed(w.write(w.running))
	var used store.Store = st
	if w.plant.below != nil {
		used = planted{used, func(m store.Member) store.Member { return w.plant.below(w, m) }}
	}
	used = &spy{Store: used, w: w, life: life}
	if w.plant.above != nil {
		used = planted{used, func(m store.Member) store.Member { return w.plant.above(w, m) }}
	}
	var log slog.Handler = notes{w.journal, ""}
	if w.plant.log != nil {
		log = w.plant.log(log)
	}
	var dial outbound.Dial = w.net.dial
	if w.plant.dial != nil {
		dial = w.plant.dial(w, dial)
	}
	return daemon.Options{
		Config: cfg, Secrets: hidden, Store: used, Log: slog.New(log), Version: "sim", Token: adminToken,
		Paths: []string{w.file()}, Polled: w.polled, Dial: dial, Listen: w.net.listen,
	}
}

// parsed reads a configuration, once for all processes that begin with it: what it comes to is not changed by them.
func (w *world) parsed(text string) (*config.Config, *setting.Secrets) {
	if text == w.text {
		return w.config, w.secrets
	}
	hidden := secrets()
	cfg, report := config.Parse([]config.File{{Path: w.file(), Text: []byte(text)}}, hidden)
	if err := report.Err(); err != nil {
		w.t.Fatalf("%v\n%s", err, text)
	}
	w.text, w.config, w.secrets = text, cfg, hidden
	return cfg, hidden
}

// client talks to the process as a person does.
func (w *world) client() *admin.Client {
	c := admin.NewClient(adminAddress, adminToken)
	c.HTTP = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return w.net.connect(ctx, address)
		},
	}}
	return c
}

// stop ends the process as SIGTERM does.
func (w *world) stop() {
	p, ill := w.process, w.ills.any()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), 20*time.Second)
	defer cancel()
	err := p.daemon.Stop(ctx)
	if err = errors.Join(err, p.store.Close()); err != nil && !ill && !w.ills.any() && !w.ills.dying() {
		w.violated(12, "it does not stop well: %v", err)
	}
	w.net.kill()
	w.process = nil
	w.step.Add(1)
}

// die lets the process do nothing more, at whatever it is just doing.
func (w *world) die() {
	w.disk.Freeze()
	w.net.kill()
}

// bury takes away what is left of a process that has died. Nothing that it still does has an effect.
func (w *world) bury() {
	w.die()
	p := w.process
	w.process = nil
	_ = p.daemon.Stop(dead())
	_ = p.store.Close()
	w.step.Add(1)
}

func dead() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// crash kills the process, or takes the power away.
func (w *world) crash(power bool) {
	w.bury()
	if !power {
		return
	}
	kept := w.chance.IntN(3)
	fate := func() faultdisk.Fate {
		if kept < 2 {
			return faultdisk.Fate(kept)
		}
		return faultdisk.Fate(w.chance.IntN(3))
	}
	if err := w.disk.PowerCut(fate, w.chance); err != nil {
		w.t.Fatal(err)
	}
}

// polls is how the polls of each source went.
type polls struct {
	mu     sync.Mutex
	failed map[string]int  // in a row
	good   map[string]bool // the last one was
	calm   map[string]int  // good ones since all was well
	since  time.Time       // of the process
}

func (p *polls) restarted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed, p.good, p.since = map[string]int{}, map[string]bool{}, time.Now()
}

// well says whether the last poll of a source was good: after a bad one it is left alone for longer.
func (p *polls) well(source string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.good[source]
}

// rest begins to count the polls that nothing disturbs.
func (p *polls) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm = map[string]int{}
}

// polled hears of each poll.
func (w *world) polled(r poller.Result) {
	for _, u := range w.upstreams {
		if u.name == r.Source {
			w.allFound(u, &r)
			w.allTaken(u, &r)
			u.mu.Lock()
			u.since.heard(r.Verdict)
			u.mu.Unlock()
			u.ended(u.proves(r.Verdict) || r.Verdict == poller.Unchanged)
		}
	}
	if r.Verdict == poller.Complete {
		w.allRead(r.Source, r.At)
	}
	w.polls.mu.Lock()
	defer w.polls.mu.Unlock()
	if r.Verdict == poller.Deferred {
		if !r.Until.IsZero() { // the server asks for patience: somebody may be told of it
			w.polls.good[r.Source] = false
		}
		return
	}
	w.polls.failed[r.Source]++
	if w.polls.good[r.Source] = r.Verdict != poller.Failed; w.polls.good[r.Source] {
		w.polls.failed[r.Source] = 0
	}
	if w.polls.calm != nil && r.Mode != poller.Incremental && r.Verdict != poller.Failed && r.Verdict != poller.Held {
		w.polls.calm[r.Source]++
	}
}

// upstream gives the upstream of a source.
func (w *world) upstream(source string) *upstream {
	return w.upstreams[slices.IndexFunc(w.upstreams, func(u *upstream) bool { return u.name == source })]
}
