package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
)

// purpose says whether a command looks or acts.
type purpose bool

const (
	reading purpose = false
	acting  purpose = true
)

func (a *app) newSecrets() *setting.Secrets {
	dir, _ := a.lookupEnv("CREDENTIALS_DIRECTORY")
	return &setting.Secrets{LookupEnv: a.lookupEnv, CredentialsDir: dir}
}

// configPaths gives what --config names, or the first of the default places that exists.
func (a *app) configPaths() ([]string, error) {
	if len(a.config) > 0 {
		return a.config, nil
	}
	if path, ok := a.lookupEnv("DELTAHOOK_CONFIG"); ok && path != "" {
		return []string{path}, nil
	}
	for _, path := range []string{"deltahook.toml", "/etc/deltahook/deltahook.toml"} {
		if _, err := os.Stat(path); err == nil {
			return []string{path}, nil
		}
	}
	return nil, &exitError{
		code: exitConfig, err: errors.New("there is no configuration: neither --config, $DELTAHOOK_CONFIG, ./deltahook.toml nor /etc/deltahook/deltahook.toml"),
		hint: "see it work without one: deltahook demo",
	}
}

// loadReport reads the configuration and tells all that is wrong with it.
func (a *app) loadReport() (*config.Config, *setting.Secrets, *config.Report, error) {
	paths, err := a.configPaths()
	if err != nil {
		return nil, nil, nil, err
	}
	secrets := a.newSecrets()
	cfg, report, err := config.Load(config.Options{Paths: paths, Secrets: secrets})
	if err != nil {
		return nil, nil, nil, &exitError{code: exitConfig, err: err}
	}
	return cfg, secrets, report, nil
}

// load reads a configuration that can run; the error ends the process with the code for configurations.
func (a *app) load() (*config.Config, *setting.Secrets, error) {
	cfg, secrets, report, err := a.loadReport()
	if err != nil {
		return nil, nil, err
	}
	if err := report.Err(); err != nil {
		return nil, nil, &exitError{code: exitConfig, err: err}
	}
	return cfg, secrets, nil
}

// draft reads the configuration as far as possible: enough to find a running daemon and what it knows by name.
func (a *app) draft() (*config.Config, error) {
	_, _, report, err := a.loadReport()
	if err != nil {
		return nil, err
	}
	return report.Draft, nil
}

func (a *app) openStore(ctx context.Context, cfg *config.Config, secrets *setting.Secrets, p purpose) (store.Store, error) {
	path, err := storePath(cfg, secrets)
	if err != nil {
		return nil, err
	}
	s, err := sqlite.Open(ctx, sqlite.Options{Path: path, ReadOnly: p == reading})
	if _, locked := errors.AsType[*sqlite.LockedError](err); locked {
		return nil, &exitError{code: exitTemporary, err: err}
	}
	if err != nil {
		return nil, failure(err)
	}
	return s, nil
}

// storePath gives the file of the embedded store; the configuration was validated.
func storePath(cfg *config.Config, secrets *setting.Secrets) (string, error) {
	url, err := cfg.Store.Location(secrets)
	if err != nil {
		return "", &exitError{code: exitConfig, err: err, hint: setting.Hint(err)}
	}
	return strings.TrimPrefix(url, "sqlite:"), nil
}

// view gives the running daemon, or what its store holds when it is down.
func (a *app) view(ctx context.Context, p purpose) (admin.View, func(), error) {
	cfg, secrets, report, err := a.loadReport()
	if err != nil {
		return nil, nil, err
	}
	if client := a.client(ctx, report.Draft, secrets); client != nil {
		return client, func() {}, nil
	}
	if err := report.Err(); err != nil {
		return nil, nil, &exitError{code: exitConfig, err: err}
	}
	st, err := a.openStore(ctx, cfg, secrets, p)
	if err != nil {
		return nil, nil, err
	}
	offline := admin.Offline{Lists: admin.Lists{Store: st, Config: func() *config.Config { return cfg }}}
	if p == acting {
		offline.Own = func(ctx context.Context, do func(admin.Changer) error) error {
			return owning(ctx, st, func(m store.Member) error { return do(m) })
		}
		offline.Do = func(ctx context.Context, act admin.Action) error {
			return daemon.ActStopped(ctx, st, cfg, secrets, act)
		}
		offline.Fill = func(ctx context.Context, b admin.Backfill, step admin.BackfillStep) (admin.Backfilled, error) {
			return daemon.BackfillStopped(ctx, st, cfg, secrets, b, step)
		}
		offline.Alter = func(ctx context.Context, e admin.Edit, plan bool) (admin.Edited, error) {
			return daemon.EditStopped(ctx, st, cfg, secrets, e, plan)
		}
	}
	return offline, func() { closing(a.stderr, st) }, nil
}

// client gives the running daemon; nil when there is none. It is also found while the files cannot run: because they were edited
// badly, or because only the daemon has the secrets.
func (a *app) client(ctx context.Context, cfg *config.Config, secrets *setting.Secrets) *admin.Client {
	token, err := a.readToken(cfg, secrets)
	if err != nil {
		token = "" // reading on loopback needs none
	}
	client := admin.NewClient(cfg.Admin.Listen, token)
	if err := client.Healthy(ctx); errors.Is(err, admin.ErrNotRunning) {
		return nil
	}
	if token == "" { // perhaps another store is configured than the one that is open
		if client.Token, err = a.readToken(withStoreOf(ctx, client, cfg), secrets); err != nil {
			client.Token = ""
		}
	}
	return client
}

// withStoreOf gives the configuration with the store that the daemon has open.
func withStoreOf(ctx context.Context, client *admin.Client, cfg *config.Config) *config.Config {
	is, err := client.Settings(ctx)
	if err != nil {
		return cfg
	}
	with := *cfg
	with.Store.URL = is["store"]["url"]
	return &with
}

// owning lets do write to a store whose daemon is down.
func owning(ctx context.Context, st store.Store, do func(store.Member) error) error {
	m, err := st.Join(ctx, "command", time.Minute)
	if err != nil {
		return err
	}
	if _, err := m.Acquire(ctx, store.AllShards()); err != nil {
		return errors.Join(err, m.Leave(ctx))
	}
	return errors.Join(do(m), m.Leave(ctx))
}

// tokenPath is where the token for actions lies when the configuration has none: who may read the store may act.
func tokenPath(cfg *config.Config, secrets *setting.Secrets) (string, error) {
	path, err := storePath(cfg, secrets)
	return path + ".token", err
}

// newToken makes a token for commands of the same user.
func (a *app) newToken(cfg *config.Config, secrets *setting.Secrets) (string, error) {
	path, err := tokenPath(cfg, secrets)
	if err != nil {
		return "", err
	}
	token := rand.Text()
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return "", failure(fmt.Errorf("write the token for commands: %w", err))
	}
	secrets.Remember(token)
	return token, nil
}

func (a *app) readToken(cfg *config.Config, secrets *setting.Secrets) (string, error) {
	if !cfg.Admin.Token.IsZero() {
		return secrets.Resolve(cfg.Admin.Token)
	}
	path, err := tokenPath(cfg, secrets)
	if err != nil {
		return "", err
	}
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return "", failure(err)
	}
	return strings.TrimSpace(string(raw)), nil
}

func closing(stderr io.Writer, c io.Closer) {
	if err := c.Close(); err != nil {
		fmt.Fprintln(stderr, err)
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
