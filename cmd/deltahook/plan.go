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
	was, err := a.stored(ctx, cfg, secrets)
	if err != nil {
		return err
	}
	steps, err := daemon.Plan(cfg, was)
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
		if how.exitCode && steps[i].Kind != daemon.StepUnchanged {
			return &exitError{code: exitDifferences}
		}
	}
	return nil
}

// stored reads what there is: from the store, which a running daemon does not mind, and what that daemon goes by.
func (a *app) stored(ctx context.Context, cfg *config.Config, secrets *setting.Secrets) (was daemon.Stored, err error) {
	token, err := a.readToken(cfg, secrets)
	if err != nil {
		return was, err
	}
	client := admin.NewClient(cfg.Admin.Listen, token)
	if client.Healthy(ctx) == nil {
		if was.Running, err = client.Settings(ctx); err != nil {
			return was, failure(err)
		}
	}
	st, err := a.openStore(ctx, cfg, secrets, reading)
	if errors.Is(err, fs.ErrNotExist) {
		return was, nil // nothing is stored yet
	}
	if err != nil {
		return was, err
	}
	defer closing(a.stderr, st)
	if was.Sources, err = st.Sources(ctx); err == nil {
		was.Queues, err = st.Queues(ctx)
	}
	if err != nil {
		return was, failure(err)
	}
	return was, nil
}

func (a *app) printSteps(steps []daemon.Step, running bool) error {
	var rows [][]string
	unchanged := 0
	for i := range steps {
		s := &steps[i]
		if s.Kind == daemon.StepUnchanged {
			unchanged++
			continue
		}
		name := s.Source
		if name == "" {
			name = s.Webhook + " (webhook)"
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
	if err := table(a.stdout, nil, rows); err != nil {
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
	case daemon.StepNew, daemon.StepBack:
		return "+"
	case daemon.StepRemoved:
		return "-"
	case daemon.StepHeld:
		return "!"
	}
	return "~"
}
