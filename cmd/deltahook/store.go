package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/store"
)

func (a *app) storeCommand() *cobra.Command {
	root := &cobra.Command{Use: "store", Short: "Move what is remembered to another store", Args: cobra.NoArgs, RunE: showHelp}
	root.AddCommand(a.storeCopy())
	return root
}

func (a *app) storeCopy() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "copy --from URL --to URL",
		Short: "Copy everything to another, empty store",
		Long: "Copies records, cursors, events, deliveries and tokens from one store to another one, of the same kind or not, and compares\n" +
			"the two afterwards. The target must be empty; the source stays as it is. Stop deltahook first: nobody else may write to\n" +
			"either of them. Then write the new url into [store], and start.\n\n" +
			"A url is sqlite:PATH, postgres://… or a reference to a secret that holds it, like env:NAME.",
		Example: "  deltahook store copy --from sqlite:deltahook.db --to env:DELTAHOOK_STORE",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.copyStore(cmd.Context(), from, to)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "where everything is")
	cmd.Flags().StringVar(&to, "to", "", "where it goes; empty")
	return cmd
}

func (a *app) copyStore(ctx context.Context, from, to string) error {
	source, end, err := a.alone(ctx, from, "--from")
	if err != nil {
		return err
	}
	defer func() { _ = end() }()
	target, finish, err := a.alone(ctx, to, "--to")
	if err != nil {
		return err
	}
	defer func() { _ = finish() }()
	begun := time.Now()
	copied, err := store.Copy(ctx, source, target)
	if errors.Is(err, store.ErrNotEmpty) {
		return failureHint(err, "name an empty one with --to")
	}
	if err != nil {
		return failure(err)
	}
	if err := errors.Join(finish(), end()); err != nil {
		return failure(err)
	}
	fmt.Fprintf(a.stdout, "copied and compared in %s: %s with %s, %s with %s\nnow write the new url into [store], and start deltahook\n",
		time.Since(begun).Round(time.Millisecond), plural(copied.Sources, "source"), plural(copied.Records, "record"), plural(copied.Events, "event"), plural(copied.Deliveries, "delivery"))
	return nil
}

// alone opens a store that nobody else writes to until end is called.
func (a *app) alone(ctx context.Context, location, flag string) (port store.Port, end func() error, err error) {
	if location == "" {
		return nil, nil, usage(flag+" is missing", "deltahook store copy --from sqlite:deltahook.db --to env:DELTAHOOK_STORE")
	}
	secrets := a.newSecrets()
	s := config.DefaultStore()
	s.URL = location
	if problems := s.Validate(secrets); len(problems) > 0 {
		return nil, nil, usage(flag+": "+problems[0].Message, problems[0].Hint)
	}
	url, err := storeURL(&config.Config{Store: s}, secrets)
	if err != nil {
		return nil, nil, err
	}
	if flag == "--from" && !isPostgres(url) {
		if _, err := os.Stat(strings.TrimPrefix(url, "sqlite:")); err != nil {
			return nil, nil, failureHint(err, "name the store that there is")
		}
	}
	st, err := openURL(ctx, url, acting, nil)
	if err != nil {
		return nil, nil, err
	}
	shut := func() { closing(a.stderr, st) }
	port, portable := st.(store.Port)
	if !portable {
		shut()
		return nil, nil, failure(fmt.Errorf("%T cannot be copied", st))
	}
	leave, err := store.Hold(ctx, st, "copy")
	if err != nil {
		shut()
		return nil, nil, failure(err)
	}
	return port, sync.OnceValue(func() error {
		defer shut()
		return leave()
	}), nil
}
