package poller

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// Poller polls one source. Its polls and edits happen one after the other, whoever asks for them. The shard of the source
// must be held all the time, by this process alone.
type Poller struct {
	source   *Source // as it is configured: it may be shared, and is not changed
	opts     *Options
	spec     differ.Spec
	shape    *differ.Shape
	selected *selection // nil: all records
	cursor   *cursor    // nil: each poll asks for the whole listing
	requests *requests
	verifier *requests // of the records that a listing lacked; nil: their absence is enough
	detail   *requests // of what a listing does not say of its records; nil: it says all
	details  string    // fingerprint of the table detail
	client   *outbound.Client
	// transports are those that the client uses, which others may use, too.
	transports []*http.Transport

	identity string
	compare  string
	// keyInBytes says that a record whose bytes are known needs no look at its key; a key that is a member's name is beside the bytes.
	keyInBytes bool

	hours Hours

	// nextPartition is the one that the last poll did not come to; empty when it came to all.
	nextPartition string
	// behind is how far our clock was behind the server's when that was last heard of.
	behind time.Duration

	backfill *backfiller // what is in memory of the backfill that is under way

	net      *network
	turn     chan struct{} // holds one token while nobody polls or edits
	*tools                 // borrowed while the turn is held
	replaced atomic.Bool   // by another poller of the source, see succeed
	known    *memory       // nil: to be read from the store
	// unsure says that the outcome of a commit is unknown; lost is the version that it was based on.
	unsure bool
	lost   int64
	// released says that an edit ended a hold; the next poll tells.
	released bool
}

// New makes the poller of a valid source.
func New(source Source, o Options) (*Poller, error) {
	o = o.withDefaults()
	return newPoller(&source, &o, newNetwork(o))
}

// newPoller is New for the sources of one process, which share the options and the network.
func newPoller(source *Source, o *Options, net *network) (*Poller, error) {
	var problems setting.Problems
	requests := compileRequests(source, o.UserAgent, &problems)
	detail := compileLookup(source, requests, source.Detail.URL, &problems, "detail", "url")
	verifier := compileLookup(source, requests, source.Deletes.Verify, &problems, "deletes", "verify")
	for _, p := range problems {
		if !p.Warning {
			return nil, fmt.Errorf("source %s: %w", source.Name, p)
		}
	}
	spec := source.Spec()
	shape, err := spec.Compile()
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", source.Name, err)
	}
	if name := source.Pages.Kind; source.Pages.Param == "" && slices.Contains([]string{"page", "offset"}, name) && !requests.uses(name) {
		own := *source
		own.Pages.Param = name
		source = &own
	}
	p := &Poller{
		source: source, opts: o, spec: spec, shape: shape, selected: newSelection(source), net: net,
		requests: requests, verifier: verifier, detail: detail, details: source.Detail.print(),
		identity: identityOf(source, requests.target.Origin()), compare: comparisonOf(source),
		keyInBytes: !slices.Contains(source.Key, differ.MustPath("@key")) && source.Pages.Kind != "last_key",
		turn:       make(chan struct{}, 1),
	}
	zone, err := loadZone(source.Timezone)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", source.Name, err)
	}
	p.hours = source.Active.in(zone)
	if p.cursor, err = newCursor(source, requests.uses("cursor")); err != nil {
		return nil, fmt.Errorf("source %s: cursor: %w", source.Name, err)
	}
	ways, err := p.connect(net)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", source.Name, err)
	}
	p.client = outbound.NewClient(outbound.Options{
		Target: requests.target, Transport: ways.elsewhere, Home: ways.home, Retry: source.patience(), Final: finalFault,
		NoRedirects: source.Redirects == "none", AllowedHosts: source.AllowedHosts, Redact: o.Secrets.Redact, Now: o.Now,
	})
	p.turn <- struct{}{}
	return p, nil
}

// take waits for the turn.
func (p *Poller) take(ctx context.Context) error {
	select {
	case <-p.turn:
		p.tools = p.net.borrow()
		if p.replaced.Load() {
			p.giveBack()
			return errReplaced
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// succeed makes a poller go on where another one of the source ends: they share the turn, and the former gets none any more.
func (p *Poller) succeed(former *Poller) {
	p.turn = former.turn
	former.replaced.Store(true)
}

func (p *Poller) giveBack() {
	p.net.giveBack(p.tools)
	p.tools = nil
	p.turn <- struct{}{}
}

// Poll polls once and says what came of it. When ctx ends, a poll that still fetches ends without any effect; one that
// commits finishes first.
func (p *Poller) Poll(ctx context.Context, o Occasion) Result {
	return p.poll(ctx, o, nil).Result
}

func (p *Poller) poll(ctx context.Context, o Occasion, watch *TryOptions) *Trial {
	r := &Trial{Result: Result{Source: p.source.Name, Poll: Poll{At: p.opts.Now()}}}
	if watch != nil {
		watch.trial = r
	}
	if err := p.take(ctx); err != nil {
		p.judge(err, &r.Result)
		return r
	}
	defer p.giveBack()
	if err := p.contained(ctx, o, watch, r); err != nil {
		p.judge(err, &r.Result)
		p.undo()
	}
	if r.Verdict == Complete || r.Verdict == Partial || r.Verdict == Unchanged {
		p.released = false
	}
	if p.known != nil {
		r.State, r.Hold = p.known.state, p.known.state.Held
	}
	r.Took = p.opts.Now().Sub(r.At)
	return r
}

// contained keeps a fault of this program that the answers of one source bring to light from stopping all others.
func (p *Poller) contained(ctx context.Context, o Occasion, watch *TryOptions, r *Trial) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p.forget()
			err = &fault{
				message: fmt.Sprintf("internal error: %v", v), hint: "please report it; nothing was changed",
				cause: fmt.Errorf("panic: %v\n%s", v, debug.Stack()),
			}
		}
	}()
	return p.attempt(ctx, o, watch, r)
}

// attempt is one poll. It fills in the result; its error says why the poll did not come to a verdict.
func (p *Poller) attempt(ctx context.Context, o Occasion, watch *TryOptions, r *Trial) error {
	if err := p.load(ctx); err != nil {
		return err
	}
	r.Before, r.Baseline = p.known.state.Records, p.known.state.Baselined.IsZero()
	r.released = p.released
	if done, err := p.waits(ctx, &r.Result, watch != nil); done || err != nil {
		return err
	}
	if deadline := p.source.Deadline.Std(); deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, deadline, errDeadline)
		defer cancel()
	}
	if o.Waiting != nil {
		ctx = outbound.WithWaiting(ctx, o.Waiting)
	}
	meter := &outbound.Meter{}
	ctx = outbound.WithMeter(ctx, meter)
	defer func() { r.Traffic = meter.Traffic() }()
	if err := p.loadIndex(ctx); err != nil {
		return err
	}
	spool := newSpool(p.opts.TempDir)
	defer spool.close()
	w, err := p.newWalk(ctx, o, watch, &r.Result, spool)
	if err != nil {
		return err
	}
	err = w.runAll(ctx)
	r.fill(w.scan)
	r.Exchanges = w.exchanges
	if err != nil {
		return err
	}
	if w.notModified {
		r.Verdict = Unchanged
	} else if err := p.conclude(ctx, w, &r.Result); err != nil {
		return err
	}
	if p.awaited(&r.Result) {
		r.Fresh = time.Time{}
	}
	if watch != nil || r.Verdict == Held {
		return nil
	}
	return p.listen(ctx, &r.Result)
}

// waits ends a poll before it asks anything: the source is paused, a webhook is full, or a person has to decide.
func (p *Poller) waits(ctx context.Context, r *Result, trial bool) (bool, error) {
	state := &p.known.state
	switch {
	case trial:
		return false, nil
	case state.Paused:
		r.Verdict, r.Paused, r.Message = Deferred, true, "the source is paused"
		return true, nil
	}
	if webhook, full := p.opts.Outlet.Full(p.source); full {
		r.Verdict, r.Message = Deferred, "the queue of webhook "+webhook+" is full"
		r.Hint = "polling goes on when it has delivered some (max_queue); see deltahook deliveries"
		return true, nil
	}
	switch {
	case p.renamed():
		return true, p.hold(ctx, r, *p.identityHold())
	case state.Held != nil && state.Held.Reason == reasonIdentity && !p.reidentified():
		return false, p.lift(ctx, r)
	case p.misbegun():
		return false, p.startAnew(ctx)
	}
	return false, nil
}

// reidentified says that the configuration identifies records in another way than some of the stored ones were.
func (p *Poller) reidentified() bool { return p.known.state.established() && p.identifiesAnew() }

func (p *Poller) identifiesAnew() bool {
	return p.known.mixed(p.identity) || len(p.leftPartitions()) > 0
}

// mixed says that records may be stored under another identity.
func (m *memory) mixed(identity string) bool { return m.state.Identity != identity || m.state.Mixed }

// renamed says that the source is reidentified, and nobody allowed it.
func (p *Poller) renamed() bool { return p.reidentified() && !p.known.state.Held.decides(p.about()) }

// about names what a decision about the identity is about.
func (p *Poller) about() string {
	return strings.Join(append([]string{p.identity}, p.leftPartitions()...), "\n")
}

func (p *Poller) newWalk(ctx context.Context, o Occasion, watch *TryOptions, r *Result, spool *spool) (*walk, error) {
	reach, err := p.reach(r.At)
	if err != nil {
		return nil, err
	}
	p.known.index.Begin()
	state := &p.known.state
	s := &scan{
		p: p, ctx: ctx, index: p.known.index, spool: spool, watch: watch, seam: newSeam(p.source.Pages),
		salt: detailSalt(p.details), formers: p.known.since(""), dropped: map[differ.Hash]bool{},
		// The bytes of a record whose key is known tell it only as long as the key is read in the same way.
		keyInBytes: p.keyInBytes && watch == nil && (state.Identity == "" || !p.known.mixed(p.identity)),
		quiet:      state.Baselined.IsZero() && p.source.Initial != "emit" || state.Held != nil && state.Held.Discard,
	}
	scheduled := o.Scheduled
	if scheduled.IsZero() {
		scheduled = r.At
	}
	if edit := p.known.edit(); edit != nil {
		s.keyInBytes = s.keyInBytes && !edit.other // those that are as they were are looked at, too
	}
	w := &walk{
		p: p, scan: s, walker: newWalker(p.source.Pages), occasion: o, result: r,
		values: values{now: r.At, scheduled: scheduled, page: p.source.Pages.Start.Of(p.source.Pages.Kind), secrets: p.opts.Secrets},
		asked:  map[uint64]bool{}, shown: map[uint64]int{}, reach: reach, more: reach.more,
	}
	s.details = newDetails(w)
	w.aim()
	w.send = p.conditions(w)
	return w, nil
}

const forcedAfter = 6 * time.Hour

// conditions gives the validators to send, if a 304 would prove that nothing is to be done.
func (p *Poller) conditions(w *walk) Validators {
	m, v := p.known, p.known.validators
	switch {
	case p.source.Conditional == "off", p.source.Partitions.used(), p.source.Pages.Kind != "", p.requests.method != http.MethodGet,
		m.state.Baselined.IsZero(), m.state.Held != nil, len(m.since("")) > 0, w.reach.full && p.cursor != nil, w.reach.more, w.reach.full && m.missing > 0 && p.source.Deletes.Detect == "scan",
		v.ETag == "" && v.LastModified == "", p.opts.Now().Sub(v.At) >= forcedAfter, v.At.After(p.opts.Now()), v.URL != p.address(w.values):
		return Validators{}
	}
	return v
}

// address is the fingerprint of all that the request is made of, secrets too: another token may see another list.
func (p *Poller) address(v values) string {
	req, err := p.requests.build(v, nil)
	if err != nil {
		return ""
	}
	text := fmt.Sprintf("%s %s %v %v %v %q", req.Method, req.URL, req.Header, req.Credentials, req.SecretQuery, req.Body)
	hash := p.hasher.Key([]byte(text))
	return hex.EncodeToString(hash[:8])
}

// keyOf appends the text of a record's key. A single record without one is called like its source.
func (p *Poller) keyOf(dst []byte, rec differ.Record) ([]byte, error) {
	if p.source.Single && len(p.source.Key) == 0 {
		return append(dst, p.source.Name...), nil
	}
	return p.spec.AppendKey(dst, rec)
}

// keyNames gives the key as the configuration writes it.
func (p *Poller) keyNames() string {
	names := texts(p.source.Key)
	if len(names) == 1 {
		return strconv.Quote(names[0])
	}
	return fmt.Sprintf("%q", names)
}
