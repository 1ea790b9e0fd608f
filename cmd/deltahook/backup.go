package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store/sqlite"
)

func (a *app) backup() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the store to a new file, while the daemon runs or not",
		Long: "Writes a consistent, compact copy of the store to FILE, which must not exist: records, cursors, events, deliveries and\n" +
			"tokens as of this moment. The daemon goes on meanwhile. Keep the copy like a password.\n\n" +
			"To restore it: stop deltahook, remove the -wal and -shm beside the store, put the copy in the store's place, start.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.writeBackup(cmd.Context(), args[0]) },
	}
}

func (a *app) writeBackup(ctx context.Context, to string) error {
	cfg, secrets, err := a.load()
	if err != nil {
		return err
	}
	url, err := storeURL(cfg, secrets)
	if err != nil {
		return err
	}
	if isPostgres(url) {
		return failureHint(errors.New("the store is a PostgreSQL database, which has its own means"), "pg_dump --format=custom, and pg_restore into an empty database")
	}
	path := strings.TrimPrefix(url, "sqlite:")
	st, err := sqlite.Open(ctx, sqlite.Options{Path: path, ReadOnly: true})
	if err != nil {
		return failure(err)
	}
	defer closing(a.stderr, st)
	if err := st.Backup(ctx, to); err != nil {
		return failure(err)
	}
	info, err := os.Stat(to)
	if err != nil {
		return failure(err)
	}
	sources, err := st.Sources(ctx)
	if err != nil {
		return failure(err)
	}
	records := int64(0)
	for i := range sources {
		records += sources[i].State.Records
	}
	fmt.Fprintf(a.stdout, "%s is a backup of %s: %s of %s, %s\n",
		to, path, plural(records, "record"), plural(len(sources), "source"), setting.Size(info.Size()))
	return nil
}
