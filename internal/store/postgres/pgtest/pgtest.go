// Package pgtest starts a PostgreSQL for tests, from what is installed, in a temporary folder, as a user without
// privileges. It is reached over a socket in that folder and nowhere else.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNotInstalled says that there is no PostgreSQL server on this machine.
var ErrNotInstalled = errors.New("PostgreSQL is not installed (initdb and postgres are neither in the PATH nor in /usr/lib/postgresql)")

// Options say how the server runs.
type Options struct {
	Durable  bool     // writes reach the disk, as they have to where the server is going to crash
	Settings []string // of the server, "name=value"; they count more than those of a test
}

// Server is a running PostgreSQL.
type Server struct {
	*guard

	opts      Options
	bin, dir  string
	as        *user
	databases atomic.Int64
}

// Start starts a server; Stop ends it. It goes with this process, however that ends.
func Start(ctx context.Context, o Options) (*Server, error) {
	bin, err := installed(ctx)
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	s := &Server{opts: o, bin: bin, dir: dir, as: as}
	if err := as.own(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.run(ctx, "initdb", "-D", s.data(), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.Begin(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// installed finds the folder of the programs: the one in the PATH, else the newest one that Debian has installed.
func installed(ctx context.Context) (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil && has(filepath.Dir(path)) {
			return filepath.Dir(path), nil
		}
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range dirs {
		if has(dir) {
			return dir, nil
		}
	}
	return "", ErrNotInstalled
}

func has(dir string) bool {
	for _, name := range []string{"initdb", "postgres", "pg_ctl"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

func version(dir string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return n
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// run runs one of the programs to its end.
func (s *Server) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...) //nolint:gosec // programs of the installation
	cmd.Dir = s.dir
	s.as.become(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// Begin starts the server again after a Crash, and waits until it answers.
func (s *Server) Begin(ctx context.Context) error {
	args := []string{
		filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=",
		"-c", "max_connections=200", "-c", "jit=off", "-c", "shared_buffers=64MB", "-c", "log_min_messages=fatal",
	}
	if !s.opts.Durable {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	for _, one := range s.opts.Settings {
		args = append(args, "-c", one)
	}
	var err error
	if s.guard, err = s.as.guard(ctx, s.dir, "QUIT", args...); err != nil {
		return err
	}
	return s.answers(ctx)
}

func (s *Server) answers(ctx context.Context) error {
	deadline := time.NewTimer(5 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return fmt.Errorf("the server has ended: %w", err)
		case <-deadline.C:
			return fmt.Errorf("the server does not answer: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Crash ends the server as a power cut would, as far as a process can.
func (s *Server) Crash(ctx context.Context) error {
	err := s.run(ctx, "pg_ctl", "stop", "-m", "immediate", "-D", s.data())
	if err == nil {
		<-s.exited
	}
	return err
}

// Stop ends the server and removes all that it had.
func (s *Server) Stop() error {
	s.end()
	return os.RemoveAll(s.dir)
}

// URL gives the address of a database.
func (s *Server) URL(database string) string {
	return "postgres://postgres@/" + database + "?host=" + s.dir
}

// Create makes a database like another one, which nobody may be connected to, and gives its name. An empty template stands for
// an empty database.
func (s *Server) Create(ctx context.Context, template string) (string, error) {
	if template == "" {
		template = "template0"
	}
	name := "db" + strconv.FormatInt(s.databases.Add(1), 10)
	return name, s.Do(ctx, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+template)
}

// Drop removes a database, whoever uses it.
func (s *Server) Drop(ctx context.Context, name string) error {
	return s.Do(ctx, "postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}

// Do runs a statement in a database.
func (s *Server) Do(ctx context.Context, database, query string, args ...any) error {
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, query, args...)
	return errors.Join(err, conn.Close(ctx))
}
