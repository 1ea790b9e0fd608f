package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/postgres"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/poller"
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
		return nil, nil, nil, &exitError{code: exitConfig, err: err, hint: setting.Hint(err)}
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

func (a *app) openStore(ctx context.Context, cfg *config.Config, secrets *setting.Secrets, p purpose, log *slog.Logger) (store.Store, error) {
	url, err := storeURL(cfg, secrets)
	if err != nil {
		return nil, err
	}
	return openURL(ctx, url, p, log)
}

// openURL opens the store that a url names. Commands have no log: what they do, they say.
func openURL(ctx context.Context, url string, p purpose, log *slog.Logger) (store.Store, error) {
	if isPostgres(url) {
		s, err := postgres.Open(ctx, postgres.Options{URL: url, ReadOnly: p == reading, Log: log})
		if err != nil {
			return nil, failure(err)
		}
		return s, nil
	}
	s, err := sqlite.Open(ctx, sqlite.Options{Path: strings.TrimPrefix(url, "sqlite:"), ReadOnly: p == reading, Log: log})
	if _, locked := errors.AsType[*sqlite.LockedError](err); locked {
		return nil, &exitError{code: exitTemporary, err: err}
	}
	if err != nil {
		return nil, failure(err)
	}
	return s, nil
}

// storeURL gives where the store is; the configuration was validated. No password in it is ever printed.
func storeURL(cfg *config.Config, secrets *setting.Secrets) (string, error) {
	location, err := cfg.Store.Location(secrets)
	if err != nil {
		return "", &exitError{code: exitConfig, err: err, hint: setting.Hint(err)}
	}
	if u, err := url.Parse(location); err == nil && u.User != nil {
		if password, set := u.User.Password(); set {
			secrets.Remember(password)
		}
	}
	return location, nil
}

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres:") || strings.HasPrefix(url, "postgresql:")
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
	st, err := a.openStore(ctx, cfg, secrets, p, nil)
	_, locked := errors.AsType[*sqlite.LockedError](err)
	if p == reading || locked {
		a.mute = muteDaemon(cfg, secrets)
	}
	if locked && a.mute != "" {
		return nil, nil, &exitError{code: exitTemporary, err: errors.New(a.mute), hint: muteHint}
	}
	if err != nil {
		return nil, nil, err
	}
	offline := admin.Offline{
		Lists: admin.Lists{Store: st, Config: func() *config.Config { return cfg }},
		Told:  func(state poller.State) []admin.Alert { return daemon.Told(state, &cfg.Alerts) },
	}
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

// muteHint is for whoever wanted something of such a daemon.
const muteHint = "if it hangs, restart it; if admin.listen was edited, send it SIGHUP; if it is a command, try again when it is gone"

// notRunning is why nothing can be asked of the daemon.
func notRunning(cfg *config.Config, secrets *setting.Secrets, hint string) error {
	if mute := muteDaemon(cfg, secrets); mute != "" {
		return failureHint(errors.New(mute), muteHint)
	}
	return failureHint(admin.ErrNotRunning, hint)
}

// muteDaemon tells of a daemon that has the store open and is not found at admin.listen: the key was edited, or it hangs.
func muteDaemon(cfg *config.Config, secrets *setting.Secrets) string {
	url, err := storeURL(cfg, secrets)
	if err != nil || isPostgres(url) {
		return ""
	}
	who := sqlite.Holder(strings.TrimPrefix(url, "sqlite:"))
	if who == "" {
		return ""
	}
	return fmt.Sprintf("deltahook (%s) does not answer at %s (admin.listen)", who, cfg.Admin.Listen)
}

// client gives the running daemon; nil when there is none. It is also found while the files cannot run: because they were edited
// badly, or because only the daemon has the secrets.
func (a *app) client(ctx context.Context, cfg *config.Config, secrets *setting.Secrets) *admin.Client {
	token, err := a.readToken(ctx, cfg, secrets)
	if err != nil {
		token = "" // reading on loopback needs none
	}
	client := admin.NewClient(cfg.Admin.Listen, token)
	if err := client.Healthy(ctx); errors.Is(err, admin.ErrNotRunning) {
		return nil
	}
	if token == "" { // perhaps another store is configured than the one that is open
		if client.Token, err = a.readToken(ctx, withStoreOf(ctx, client, cfg), secrets); err != nil {
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
	where := is["store"]["url"]
	if isPostgres(where) { // its password is hidden
		return cfg
	}
	with := *cfg
	with.Store.URL = where
	return &with
}

// owning lets do write to a store whose daemon is down.
func owning(ctx context.Context, st store.Store, do func(store.Member) error) error {
	m, err := store.Own(ctx, st, "command", time.Minute)
	if err != nil {
		return err
	}
	return errors.Join(do(m), m.Leave(ctx))
}

// tokenPath is where the token for actions lies when neither the configuration nor the store has one: who may read the store may
// act.
func tokenPath(url string) string { return strings.TrimPrefix(url, "sqlite:") + ".token" }

// tokenKeeper is a store that has a token for those who may read it.
type tokenKeeper interface {
	Token(ctx context.Context) (string, error)
}

// newToken gives the token of the store, or makes one for commands of the same user.
func (a *app) newToken(ctx context.Context, cfg *config.Config, secrets *setting.Secrets, st store.Store) (string, error) {
	if keeper, ok := st.(tokenKeeper); ok {
		token, err := keeper.Token(ctx)
		if err != nil {
			return "", failure(err)
		}
		secrets.Remember(token)
		return token, nil
	}
	url, err := storeURL(cfg, secrets)
	if err != nil {
		return "", err
	}
	path := tokenPath(url)
	token := rand.Text()
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return "", failure(fmt.Errorf("write the token for commands: %w", err))
	}
	secrets.Remember(token)
	return token, nil
}

func (a *app) readToken(ctx context.Context, cfg *config.Config, secrets *setting.Secrets) (string, error) {
	if !cfg.Admin.Token.IsZero() {
		return secrets.Resolve(cfg.Admin.Token)
	}
	url, err := storeURL(cfg, secrets)
	if err != nil {
		return "", err
	}
	if isPostgres(url) {
		return storedToken(ctx, url), nil
	}
	raw, err := os.ReadFile(tokenPath(url))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return "", failure(err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// storedToken reads the token of a store; none when that does not answer: what only looks needs none.
func storedToken(ctx context.Context, url string) string {
	st, err := openURL(ctx, url, reading, nil)
	if err != nil {
		return ""
	}
	token := ""
	if keeper, ok := st.(tokenKeeper); ok {
		token, err = keeper.Token(ctx)
	}
	if errors.Join(err, st.Close()) != nil {
		return ""
	}
	return token
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
