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
	var live bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration; with --live ask every source once",
		Long: "Validates the configuration and reports all problems with their place and the next step. With --live each source is\n" +
			"asked once, without writing or sending anything.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, secrets, report, err := a.loadReport()
			if err != nil {
				return err
			}
			fmt.Fprint(a.stdout, report.String())
			fmt.Fprintln(a.stdout, report.Summary())
			if !report.OK() {
				return &exitError{code: exitConfig}
			}
			if live {
				return a.checkLive(cmd.Context(), cfg, secrets)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "ask every source once")
	return cmd
}

func (a *app) checkLive(ctx context.Context, cfg *config.Config, secrets *setting.Secrets) error {
	failed := 0
	for _, s := range cfg.Sources {
		p := a.progress(s.Name)
		trial, err := poller.TryPoll(ctx, *s, poller.Options{Secrets: secrets, UserAgent: "deltahook/" + version}, poller.TryOptions{Progress: p.show})
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
