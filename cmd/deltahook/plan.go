package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/setting"
)

// planFlags say how a plan is told.
type planFlags struct{ json, exitCode bool }

// checkPlan says what a start or a reload with the configuration would do.
func (a *app) checkPlan(ctx context.Context, cfg *config.Config, secrets *setting.Secrets, how planFlags) error {
	was, token, err := a.stored(ctx, cfg, secrets)
	if err != nil {
		return err
	}
	next := daemon.FactsOf(cfg, secrets)
	next.Prints = next.Prints.Sealed(token)
	steps, err := daemon.Plan(cfg, next, was)
	if err != nil {
		return failure(err)
	}
	if how.json {
		err = jsonLines(a.stdout, steps)
	} else {
		err = a.printSteps(steps, was.Running != nil)
	}
	if err != nil {
		return failure(err)
	}
	for i := range steps {
		if how.exitCode && steps[i].Kind != admin.PlanUnchanged {
			return &exitError{code: exitDifferences}
		}
	}
	return nil
}

// stored reads what there is: from the store, which a running daemon does not mind, and what that daemon goes by, with the token
// under which it tells that.
func (a *app) stored(ctx context.Context, cfg *config.Config, secrets *setting.Secrets) (was daemon.Stored, token string, err error) {
	if client := a.client(ctx, cfg, secrets); client != nil {
		was.Running, token = &daemon.Facts{}, client.Token
		if was.Running.Settings, err = client.Settings(ctx); err != nil {
			return was, token, failure(err)
		}
		if prints, err := client.Prints(ctx); err == nil { // else it has another token: what it hides is not compared
			was.Running.Prints = prints
		}
		cfg = withStoreOf(ctx, client, cfg)
	}
	st, err := a.openStore(ctx, cfg, secrets, reading, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return was, token, nil // nothing is stored yet
	}
	if err != nil {
		return was, token, err
	}
	defer closing(a.stderr, st)
	if was.Sources, err = st.Sources(ctx); err == nil {
		was.Queues, err = st.Queues(ctx)
	}
	if err != nil {
		return was, token, failure(err)
	}
	return was, token, nil
}

func (a *app) printSteps(steps []admin.Planned, running bool) error {
	var rows [][]string
	unchanged := 0
	for i := range steps {
		s := &steps[i]
		if s.Kind == admin.PlanUnchanged {
			unchanged++
			continue
		}
		name := s.Source
		switch {
		case s.Webhook != "":
			name = s.Webhook + " (webhook)"
		case s.Section != "":
			name = "[" + s.Section + "]"
		}
		what := s.Kind
		if len(s.Changes) > 0 {
			what = strings.Join(s.Changes, "; ")
		}
		rows = append(rows, []string{sign(s.Kind) + " " + name, what, s.Effect})
		if len(s.Next) > 0 {
			rows = append(rows, []string{"", "", "decide: " + strings.Join(s.Next, "   or   ") + "   or undo the edit"})
		}
	}
	if err := a.table(nil, rows); err != nil {
		return err
	}
	if unchanged > 0 {
		fmt.Fprintf(a.stdout, "= %d unchanged\n", unchanged)
	}
	if !running {
		fmt.Fprintln(a.stdout, "deltahook is not running: compared with what is stored only")
	}
	return nil
}

func sign(kind string) string {
	switch kind {
	case admin.PlanNew, admin.PlanBack:
		return "+"
	case admin.PlanRemoved:
		return "-"
	case admin.PlanHeld, admin.PlanRestart:
		return "!"
	}
	return "~"
}
