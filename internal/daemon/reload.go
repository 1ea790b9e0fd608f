package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// running is a configuration in force, with what belongs to it.
type running struct {
	config *config.Config
	facts  *Facts
	token  string
	since  time.Time
	refs   []setting.Secret // files and credentials that it refers to
	print  string           // of these, as they were

	version config.Version // as other replicas compare it
}

// facts reads what belongs to a configuration.
func (d *Daemon) facts(c *config.Config, secrets *setting.Secrets) (*running, error) {
	r := &running{config: c, facts: FactsOf(c, secrets), token: d.opts.Token, since: time.Now(), refs: config.References(c)}
	r.print, r.version = config.PrintOf(r.refs, secrets), d.versionHere(c)
	var err error
	switch {
	case !c.Admin.Token.IsZero():
		if r.token, err = secrets.Resolve(c.Admin.Token); err != nil {
			return nil, fmt.Errorf("admin.token: %w", err)
		}
	case r.token == "" && d.opts.NewToken != nil:
		if r.token, err = d.opts.NewToken(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// reload is what came of reading the files again.
type reload struct {
	turn  sync.Mutex // one at a time
	ended bool       // guarded by turn

	mu       sync.Mutex
	checked  time.Time
	problem  string // of what stands in the files now; empty: none
	restart  []string
	reloads  int64
	rejected int64
}

// errStopped says that it is too late.
var errStopped = fmt.Errorf("%w: deltahook stops", admin.ErrState)

// end waits for the reload that runs and allows no other.
func (r *reload) end() {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.ended = true
}

// status tells people how it stands.
func (r *reload) status(now *running) *admin.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &admin.Config{
		Files: now.config.Files, Loaded: now.since, OK: r.problem == "", Checked: r.checked, Error: r.problem,
		Restart: r.restart, Reloads: r.reloads, Rejected: r.rejected,
	}
}

// Reload reads the configuration again, makes all that is new of it, and then lets that take the place of the old: only what
// changed begins anew. When it cannot run nothing changes, and the error, an *admin.RejectedError when it is about what
// stands in the files, says why.
func (d *Daemon) Reload(ctx context.Context) (admin.Reloaded, error) {
	d.reload.turn.Lock()
	defer d.reload.turn.Unlock()
	if d.reload.ended {
		return admin.Reloaded{}, errStopped
	}
	if len(d.opts.Paths) == 0 {
		return admin.Reloaded{}, fmt.Errorf("%w: this deltahook does not run by configuration files", admin.ErrState)
	}
	out, was := admin.Reloaded{At: time.Now(), Steps: []admin.Planned{}}, d.current()
	next, err := d.read()
	if err == nil {
		out.Files = next.config.Files
		out.Steps, err = d.change(ctx, next)
	}
	steps := moved(comparison{was: was.facts, next: d.current().facts}, out.Steps)
	out.Changed = len(steps)
	d.judge(ctx, &out, steps, err)
	return out, err
}

// read reads the files, and what they refer to.
func (d *Daemon) read() (*running, error) {
	d.opts.Secrets.Renew()
	files, err := config.ReadFiles(d.opts.Paths)
	if err != nil {
		return nil, &admin.RejectedError{Problems: withHint(err)}
	}
	c, report := config.Parse(files, d.opts.Secrets)
	if err := report.Err(); err != nil {
		return nil, &admin.RejectedError{Problems: err.Error()}
	}
	next, err := d.facts(c, d.opts.Secrets)
	if err != nil {
		return nil, &admin.RejectedError{Problems: withHint(err)}
	}
	return next, nil
}

func withHint(err error) string {
	if hint := setting.Hint(err); hint != "" {
		return err.Error() + "\n  " + hint
	}
	return err.Error()
}

// change plans, makes what is new, and swaps.
func (d *Daemon) change(ctx context.Context, next *running) ([]admin.Planned, error) {
	d.shards.turn.Lock()
	defer d.shards.turn.Unlock()
	cmp := comparison{was: d.current().facts, next: next.facts}
	steps, err := d.plan(ctx, next)
	if err != nil {
		return nil, err
	}
	move, undo, err := d.entrance.prepare(ctx, next.config.Admin.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	next.keepStore(d.current())
	swap, err := d.prepare(ctx, cmp, next)
	if err != nil {
		undo()
		return nil, fmt.Errorf("%w: %w", admin.ErrState, err)
	}
	move()
	swap()
	return steps, nil
}

// keepStore notes that the store stays the one that is open: as long as another one is configured, that waits for a restart.
func (r *running) keepStore(was *running) {
	const section, key = "store", "url"
	r.config.Store.URL = was.config.Store.URL
	if print := was.facts.Prints[section][key]; print != r.facts.Prints[section][key] {
		r.facts.Prints[section] = map[string]string{key: print}
	}
}

func (d *Daemon) plan(ctx context.Context, next *running) ([]admin.Planned, error) {
	was := Stored{Running: d.current().facts}
	var err error
	if was.Sources, err = d.opts.Store.Sources(ctx); err == nil {
		was.Queues, err = d.opts.Store.Queues(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("read what is stored: %w", err)
	}
	steps, err := Plan(next.config, next.facts, was)
	cmp := comparison{was: was.Running, next: next.facts}
	return slices.DeleteFunc(steps, func(p admin.Planned) bool { return p.Kind == admin.PlanRemoved && !cmp.runs(p.Table()) }), err
}

// prepare makes all that is new, and gives what lets it take the place of the old.
func (d *Daemon) prepare(ctx context.Context, cmp comparison, next *running) (swap func(), err error) {
	was := d.current().config
	webhooks, err := d.dispatcher.Prepare(changedWebhooks(cmp, next.config)...)
	if err != nil {
		return nil, err
	}
	changed := changedSources(cmp, was, next.config)
	changed.Put = d.shards.only(changed.Put)
	sources, err := d.scheduler.Prepare(changed)
	if err != nil {
		return nil, err
	}
	if err := d.settle(ctx, next.config); err != nil {
		return nil, err
	}
	return func() {
		all := webhooksOf(next.config)
		d.dispatcher.Apply(webhooks, goneWebhooks(was, next.config)...)
		d.outlet.webhooks.Store(&all)
		d.queues.limit(all)
		d.running.Store(next)
		d.alerts.keep(next.config)
		// The polls of removed sources end soon; a commit that is under way does no harm.
		_ = d.scheduler.Apply(ctx, sources)
		if d.opts.Reloaded != nil {
			d.opts.Reloaded(next.config)
		}
	}, nil
}

func changedWebhooks(cmp comparison, next *config.Config) []emitter.Webhook {
	var list []emitter.Webhook
	for _, w := range next.Webhooks {
		if cmp.differs("webhook." + w.Name) {
			list = append(list, *w)
		}
	}
	return list
}

func goneWebhooks(was, next *config.Config) []string {
	var names []string
	for _, w := range was.Webhooks {
		if _, stays := next.Webhook(w.Name); !stays {
			names = append(names, w.Name)
		}
	}
	return names
}

func changedSources(cmp comparison, was, next *config.Config) poller.Change {
	var c poller.Change
	for i, s := range next.Sources {
		if cmp.differs("source." + s.Name) {
			c.Put = append(c.Put, s)
		} else if old, ok := was.Source(s.Name); ok {
			next.Sources[i] = old // which the scheduler has: there may be very many
		}
	}
	for _, s := range was.Sources {
		if _, stays := next.Source(s.Name); !stays {
			c.Remove = append(c.Remove, s.Name)
		}
	}
	if slices.ContainsFunc(cmp.sections(), func(name string) bool { return strings.HasPrefix(name, "host.") && cmp.differs(name) }) {
		c.Hosts = append([]poller.Host{}, next.Hosts...)
	}
	return c
}

// judge notes what came of a reload, and tells it: what is wrong once, and not again each time it is tried.
func (d *Daemon) judge(ctx context.Context, out *admin.Reloaded, steps []string, err error) {
	defer func() { d.alerts.rejected(d.reload.status(d.current()).Error, out.At) }()
	r := &d.reload
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.problem
	r.checked, r.problem = out.At, ""
	switch {
	case ctx.Err() != nil && err != nil:
		r.problem = before // whoever asked has gone, or we stop
	case err != nil:
		if r.problem = strings.TrimSuffix(err.Error(), "\n"); r.problem != before {
			r.rejected++
			d.opts.Log.ErrorContext(ctx, "the configuration is rejected; the one from before goes on, and this one is tried again",
				"err", r.problem, "hint", "deltahook check")
		}
	default:
		r.restart = waitsForRestart(out.Steps)
		if len(steps) > 0 {
			r.reloads++
			d.opts.Log.InfoContext(ctx, "the configuration is reloaded", "changed", len(steps), "steps", summary(steps))
		} else if before != "" {
			d.opts.Log.InfoContext(ctx, "the configuration in the files is the one that runs again")
		}
		for _, change := range r.restart {
			d.opts.Log.WarnContext(ctx, "a change of the configuration waits for a restart", "change", change)
		}
	}
}

func waitsForRestart(steps []admin.Planned) []string {
	var list []string
	for i := range steps {
		if steps[i].Kind == admin.PlanRestart {
			for _, change := range steps[i].Changes {
				list = append(list, steps[i].Section+"."+change)
			}
		}
	}
	return list
}

// moved names what was changed, and how.
func moved(cmp comparison, steps []admin.Planned) []string {
	var list []string
	for i := range steps {
		if s := &steps[i]; s.Kind == admin.PlanRestart || cmp.differs(s.Table()) {
			list = append(list, s.Source+s.Webhook+s.Section+" "+s.Kind)
		}
	}
	return list
}

// summary lists what changed, as far as a line has room.
func summary(list []string) string {
	const most = 20
	if len(list) > most {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
	}
	return strings.Join(list, ", ")
}
