package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/admin"
)

func (a *app) reload() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Let the running deltahook read its configuration again",
		Long: "Lets the running deltahook read its configuration again, and says what changed. Only that begins anew. When it cannot\n" +
			"run nothing changes: all that is wrong is told, and the exit code is 78. See beforehand: deltahook check --plan",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.askToReload(cmd.Context(), asJSON) },
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) askToReload(ctx context.Context, asJSON bool) error {
	cfg, secrets, err := a.load()
	if err != nil {
		return err // the daemon would say the same
	}
	client := a.client(ctx, cfg, secrets)
	if client == nil {
		return notRunning(cfg, secrets, otherListenHint)
	}
	done, err := client.Reload(ctx)
	if err != nil {
		return refusedReload(err)
	}
	if asJSON {
		return jsonLines(a.stdout, done.Steps)
	}
	if err := a.printSteps(done.Steps, true); err != nil {
		return failure(err)
	}
	fmt.Fprintf(a.stdout, "reloaded %s\n", strings.Join(done.Files, ", "))
	return nil
}

const otherListenHint = "if it runs with another admin.listen than the files have now, send it SIGHUP"

// refusedReload says why nothing was reloaded, and what to do.
func refusedReload(err error) error {
	if rejected, ok := errors.AsType[*admin.RejectedError](err); ok {
		return &exitError{code: exitConfig, err: errors.New(strings.TrimSuffix(rejected.Problems, "\n")), hint: "nothing has changed: the configuration from before goes on"}
	}
	if errors.Is(err, admin.ErrNotRunning) {
		return failureHint(err, otherListenHint)
	}
	if answer, ok := errors.AsType[*admin.Problem](err); ok && answer.Status == http.StatusUnauthorized {
		return failureHint(err, "if admin.token has just been changed, send it SIGHUP")
	}
	return failure(err)
}
