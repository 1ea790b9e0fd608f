package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

func (a *app) try() *cobra.Command {
	t := &trier{app: a}
	cmd := &cobra.Command{
		Use:   "try SOURCE",
		Short: "Poll a source once: no write, no send; show records, verdict and changes",
		Long: "Polls a source once and shows what came, what changed against the stored state, and the events that would go out.\n" +
			"Nothing is written and nothing is sent.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSources,
		RunE:              func(cmd *cobra.Command, args []string) error { return t.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&t.show, "show", "changes", "changes, records (all of them) or payload (the events' bodies)")
	cmd.Flags().BoolVar(&t.empty, "against-empty", false, "compare with nothing instead of the stored state")
	cmd.Flags().IntVar(&t.limit, "limit", 20, "show at most so many; 0: all")
	cmd.Flags().BoolVar(&t.exitCode, "exit-code", false, "exit 3 when there are changes")
	jsonFlag(cmd, &t.asJSON)
	return cmd
}

// trier is one run of `try`.
type trier struct {
	*app
	show     string
	empty    bool
	limit    int
	exitCode bool
	asJSON   bool

	shown   int
	changes int
	lines   []string // of changes: they are printed below the summary
}

func (t *trier) run(ctx context.Context, name string) error {
	if !slices.Contains([]string{"changes", "records", "payload"}, t.show) {
		return usage(fmt.Sprintf("--show %q is none of changes, records, payload", t.show), "without the flag the changes are shown")
	}
	cfg, secrets, err := t.load()
	if err != nil {
		return err
	}
	source, err := sourceNamed(cfg, name)
	if err != nil {
		return err
	}
	opts := poller.Options{Secrets: secrets, Hosts: cfg.Hosts, UserAgent: "deltahook/" + version}
	if !t.empty {
		done, err := t.stored(ctx, cfg, secrets, &opts)
		if err != nil {
			return err
		}
		defer done()
	}
	opts.Outlet = daemon.TrialOutlet(cfg, opts.Seed)
	stop := t.progress(name)
	trial, err := poller.TryPoll(ctx, *source, opts, t.callbacks(stop))
	stop.clear()
	if err != nil {
		return failureHint(err, setting.Hint(err))
	}
	return t.report(name, trial)
}

// stored lets the trial compare with the store, when there is one.
func (t *trier) stored(ctx context.Context, cfg *config.Config, secrets *setting.Secrets, o *poller.Options) (func(), error) {
	st, err := t.openStore(ctx, cfg, secrets, reading, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	o.Ledger, o.Seed = st.Look(), st.Seed()
	return func() { closing(t.stderr, st) }, nil
}

func sourceNamed(cfg *config.Config, name string) (*poller.Source, error) {
	if s, ok := cfg.Source(name); ok {
		return s, nil
	}
	names := make([]string, len(cfg.Sources))
	for i, s := range cfg.Sources {
		names[i] = s.Name
	}
	return nil, usage(fmt.Sprintf("source %q is not configured", name), "sources: "+strings.Join(names, ", "))
}

func (t *trier) callbacks(p *progress) poller.TryOptions {
	o := poller.TryOptions{Progress: p.show}
	switch t.show {
	case "records":
		o.Record = t.record
	case "payload":
		o.Event = func(e *poller.Event) { t.more(func() { t.say("%s\n", e.Body) }) }
	}
	o.Change = t.change
	return o
}

// more shows one more thing, if the limit allows it.
func (t *trier) more(show func()) {
	if t.limit == 0 || t.shown < t.limit {
		show()
	}
	t.shown++
}

func (t *trier) say(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

func (t *trier) record(key string, body []byte) {
	t.more(func() {
		if t.asJSON {
			t.say("%s\n", body)
			return
		}
		t.say("  %s  %s\n", t.paint(bold, key), clip(string(body), max(40, t.width-len(key)-6)))
	})
}

func (t *trier) change(c differ.Change) {
	t.changes++
	if t.show != "changes" {
		return
	}
	t.more(func() {
		if t.asJSON {
			t.say("%s\n", changeJSON(c))
			return
		}
		t.say("%s", t.changeText(c))
	})
}

func (t *trier) report(name string, trial *poller.Trial) error {
	if t.asJSON {
		fmt.Fprint(t.stdout, strings.Join(t.lines, ""))
	} else {
		t.summary(name, trial)
	}
	if trial.Err != nil {
		return failureHint(fmt.Errorf("%s: %w", name, trial.Err), trial.Hint)
	}
	if t.exitCode && t.changes > 0 {
		return &exitError{code: exitDifferences}
	}
	return nil
}

func (t *trier) summary(name string, trial *poller.Trial) {
	against := fmt.Sprintf("the saved state (%s)", plural(trial.Before, "record"))
	if trial.Baseline {
		against = "nothing: a first poll saves a baseline and sends no events"
	}
	fmt.Fprintf(t.stdout, "%s   %s   %s   %s   %s   compared with %s\n\n", t.paint(bold, name),
		t.verdict(trial), plural(trial.Pages, "page"), plural(trial.Records, "record"), trial.Took.Round(time.Millisecond), against)
	t.reach(trial)
	fmt.Fprint(t.stdout, strings.Join(t.lines, ""))
	if t.limit > 0 && t.shown > t.limit {
		fmt.Fprintf(t.stdout, "  … and %s more (--limit 0 shows all)\n", count(t.shown-t.limit))
	}
	t.counts(trial)
}

// reach says what part of the list was asked for.
func (t *trier) reach(trial *poller.Trial) {
	switch {
	case trial.Mode == poller.Incremental && trial.More:
		fmt.Fprintf(t.stdout, "  incremental: asked for one window, from %s; the next one follows at once\n\n", trial.From)
	case trial.Mode == poller.Incremental:
		fmt.Fprintf(t.stdout, "  incremental: asked for what changed from %s on\n\n", trial.From)
	case trial.From != "":
		fmt.Fprintf(t.stdout, "  the whole list, which begins at %s\n\n", trial.From)
	}
}

func (t *trier) counts(trial *poller.Trial) {
	if trial.Missing > 0 {
		fmt.Fprintf(t.stdout, "  %s %s missing in this scan, not yet confirmed: no event yet\n", t.paint(yellow, "-"), count(trial.Missing))
	}
	if unchanged := trial.Records - trial.Created - trial.Updated - trial.Skipped; unchanged > 0 && !trial.Baseline {
		fmt.Fprintf(t.stdout, "  %s %s unchanged\n", t.paint(grey, "·"), count(unchanged))
	}
	for _, k := range trial.Keyless {
		fmt.Fprintf(t.stdout, "  %s record %d skipped: %s; it has: %s\n", t.paint(yellow, "!"), k.Number, k.Problem, strings.Join(k.Members, ", "))
	}
	if trial.Message != "" && trial.Err == nil {
		fmt.Fprintf(t.stdout, "\n%s\n", trial.Message)
	}
	if trial.Err == nil {
		fmt.Fprintf(t.stdout, "\n%s would go out. Nothing was sent, nothing was saved.\n", plural(trial.Events, "event"))
	}
}

func (t *trier) verdict(trial *poller.Trial) string {
	v := trial.Verdict
	if v == poller.Partial && trial.Mode == poller.Incremental && trial.Message == "" { // by design
		return t.paint(green, string(v))
	}
	switch v {
	case poller.Complete, poller.Unchanged:
		return t.paint(green, string(v))
	case poller.Failed:
		return t.paint(red, string(v))
	case poller.Partial, poller.Deferred, poller.Held:
	}
	return t.paint(yellow, string(v))
}
