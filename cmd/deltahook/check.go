package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

func (a *app) check() *cobra.Command {
	var live, plan bool
	var how planFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration; with --live ask every source once, with --plan say what a reload would do",
		Long: "Validates the configuration and reports all problems with their place and the next step. With --live each source is\n" +
			"asked once, without writing or sending anything. With --plan it is compared with what is stored, and with the\n" +
			"configuration of the running deltahook: what a start or a reload would do to each source and webhook.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, secrets, report, err := a.loadReport()
			if err != nil {
				return err
			}
			if (how.json || how.exitCode) && !plan {
				return usage("--json and --exit-code are about the plan", "add --plan")
			}
			said := a.stdout
			if how.json {
				said = a.stderr
			}
			fmt.Fprint(said, report.String())
			fmt.Fprintln(said, report.Summary())
			if !report.OK() {
				return &exitError{code: exitConfig}
			}
			if live {
				err = a.checkLive(cmd.Context(), cfg, secrets)
			}
			if err != nil || !plan {
				return err
			}
			return a.checkPlan(cmd.Context(), cfg, secrets, how)
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "ask every source once")
	cmd.Flags().BoolVar(&plan, "plan", false, "say what a start or a reload would do")
	cmd.Flags().BoolVar(&how.exitCode, "exit-code", false, "with --plan: exit with 3 when something would change")
	jsonFlag(cmd, &how.json)
	cmd.MarkFlagsMutuallyExclusive("live", "json")
	return cmd
}

func (a *app) checkLive(ctx context.Context, cfg *config.Config, secrets *setting.Secrets) error {
	failed := 0
	for _, s := range cfg.Sources {
		p := a.progress(s.Name)
		trial, err := poller.TryPoll(ctx, *s, poller.Options{Secrets: secrets, Hosts: cfg.Hosts, UserAgent: "deltahook/" + version}, poller.TryOptions{Progress: p.show})
		p.clear()
		if err == nil {
			err = trial.Err
		}
		if err != nil {
			failed++
			fmt.Fprintf(a.stdout, "%s %s: %v\n", a.paint(red, "✗"), s.Name, err)
			if hint := liveHint(trial, err); hint != "" {
				fmt.Fprintf(a.stdout, "  %s\n", hint)
			}
			continue
		}
		fmt.Fprintf(a.stdout, "%s %s: %s, %s in %s, %s\n", a.paint(green, "✓"), s.Name, trial.Verdict,
			plural(trial.Records, "record"), plural(trial.Pages, "page"), trial.Took.Round(time.Millisecond))
	}
	if failed > 0 {
		return failure(fmt.Errorf("%d of %s failed", failed, plural(len(cfg.Sources), "source")))
	}
	return nil
}

func liveHint(trial *poller.Trial, err error) string {
	if trial != nil && trial.Hint != "" {
		return trial.Hint
	}
	return setting.Hint(err)
}
