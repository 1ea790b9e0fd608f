package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// surgeon changes what is stored of sources: a running scheduler, or a command while there is none.
type surgeon interface {
	Rekey(ctx context.Context, source string, plan bool) (poller.Rekeying, error)
	Reset(ctx context.Context, source string, level poller.ResetLevel, plan bool) (poller.State, error)
}

// edit does, or with plan foretells, one edit.
func edit(ctx context.Context, s surgeon, lists admin.Lists, c *config.Config, e admin.Edit, plan bool) (admin.Edited, error) {
	out := admin.Edited{Source: e.Source, Verb: e.Verb, Level: e.Level}
	source, ok := c.Source(e.Source)
	if !ok {
		return out, fmt.Errorf("%w: %s", admin.ErrNoSource, e.Source)
	}
	var err error
	if out.Waiting, err = lists.Waiting(ctx, e.Source); err != nil {
		return out, err
	}
	switch e.Verb {
	case admin.Rekey:
		r, err := s.Rekey(ctx, e.Source, plan)
		if err != nil {
			return out, explained(err, e.Source)
		}
		out.Change, out.Records, out.Moved = r.Change, int64(r.Records), int64(r.Moved)
	case admin.Reset:
		level := poller.ResetLevel(e.Level)
		if !slices.Contains(poller.ResetLevels(), level) {
			return out, fmt.Errorf("%w: reset has the levels %q, not %q", admin.ErrState, poller.ResetLevels(), e.Level)
		}
		was, err := s.Reset(ctx, e.Source, level, plan)
		if err != nil {
			return out, explained(err, e.Source)
		}
		out.Records, out.Sequence = was.Records, was.Sequence
		out.Emits = source.Initial == "emit" && (level == poller.ResetRecords || level == poller.ResetAll)
	default:
		return out, fmt.Errorf("%w: %s", admin.ErrNoVerb, e.Verb)
	}
	out.Done = !plan
	return out, nil
}

// EditStopped changes what is stored of a source whose daemon is down.
func EditStopped(ctx context.Context, st store.Store, c *config.Config, secrets *setting.Secrets, e admin.Edit, plan bool) (admin.Edited, error) {
	m, err := store.Own(ctx, st, "command", time.Minute)
	if err != nil {
		return admin.Edited{}, err
	}
	done, err := edit(ctx, byHand(m, st, c, secrets), admin.Lists{Store: st}, c, e, plan)
	return done, errors.Join(err, m.Leave(context.WithoutCancel(ctx)))
}

// stopped edits sources that nobody polls.
type stopped struct {
	config  *config.Config
	options poller.Options
}

// byHand edits the sources of a store whose daemon is down, under the leases of m.
func byHand(m store.Member, st store.Store, c *config.Config, secrets *setting.Secrets) stopped {
	return stopped{config: c, options: poller.Options{Ledger: m, Outlet: TrialOutlet(c, st.Seed()), Secrets: secrets, Seed: st.Seed()}}
}

func (s stopped) poller(name string) (*poller.Poller, error) {
	source, ok := s.config.Source(name)
	if !ok {
		return nil, fmt.Errorf("source %s: %w", name, poller.ErrUnknownSource)
	}
	return poller.New(*source, s.options)
}

// Rekey keeps the records of a source under the keys of its configuration.
func (s stopped) Rekey(ctx context.Context, name string, plan bool) (poller.Rekeying, error) {
	p, err := s.poller(name)
	if err != nil {
		return poller.Rekeying{}, err
	}
	if plan {
		return p.PlanRekey(ctx)
	}
	return p.Rekey(ctx)
}

// Reset forgets a part of what is stored of a source.
func (s stopped) Reset(ctx context.Context, name string, level poller.ResetLevel, plan bool) (poller.State, error) {
	p, err := s.poller(name)
	if err != nil {
		return poller.State{}, err
	}
	if plan {
		return p.Stored(ctx)
	}
	return p.Reset(ctx, level)
}
