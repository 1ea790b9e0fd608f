package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoPooler says that there is no PgBouncer on this machine.
var ErrNoPooler = errors.New("PgBouncer is not installed (pgbouncer is neither in the PATH nor in /usr/sbin)")

// Pooler is a running PgBouncer in transaction mode before a Server.
type Pooler struct {
	*guard

	dir string
	// Prepares says whether it knows prepared statements, which it does since 1.21.
	Prepares bool
}

const poolerPort = "6432"

// poolerConfig keeps no session for a client, and fewer connections to the server than clients have to it.
const poolerConfig = `[databases]
* = host=%[1]s user=postgres
[pgbouncer]
listen_addr =
listen_port = ` + poolerPort + `
unix_socket_dir = %[2]s
auth_type = any
pool_mode = transaction
default_pool_size = %[3]d
max_client_conn = 500
server_reset_query_always = 0
log_connections = 0
log_disconnections = 0
%[4]s
`

// Pool starts a PgBouncer with so many connections to each database. Stop ends it; it goes with this process, however that ends.
func (s *Server) Pool(ctx context.Context, size int) (*Pooler, error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			return nil, ErrNoPooler
		}
	}
	dir, err := os.MkdirTemp("", "pooler")
	if err != nil {
		return nil, err
	}
	p := &Pooler{dir: dir}
	if err := p.start(ctx, s, path, size); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Pooler) start(ctx context.Context, s *Server, path string, size int) error {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return err
	}
	prepared := ""
	if p.Prepares = knowsPrepared(string(out)); p.Prepares {
		prepared = "max_prepared_statements = 200"
	}
	config := filepath.Join(p.dir, "pgbouncer.ini")
	if err := os.WriteFile(config, fmt.Appendf(nil, poolerConfig, s.dir, p.dir, size, prepared), 0o644); err != nil { //nolint:gosec // for the user it runs as
		return err
	}
	if err := s.as.own(p.dir); err != nil {
		return err
	}
	if p.guard, err = s.as.guard(ctx, p.dir, "TERM", path, "-q", config); err != nil {
		return err
	}
	return p.answers(ctx)
}

func knowsPrepared(version string) bool {
	found := regexp.MustCompile(`PgBouncer (\d+)\.(\d+)`).FindStringSubmatch(version)
	if found == nil {
		return false
	}
	major, _ := strconv.Atoi(found[1])
	minor, _ := strconv.Atoi(found[2])
	return major > 1 || minor >= 21
}

func (p *Pooler) answers(ctx context.Context) error {
	const tries = 3000
	for n := 1; ; n++ {
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.exited:
			return fmt.Errorf("pgbouncer has ended: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if n == tries {
			return fmt.Errorf("pgbouncer does not answer: %w", err)
		}
	}
}

// URL gives the address of a database by way of the pooler, with what an old one makes necessary.
func (p *Pooler) URL(database string) string {
	url := "postgres://postgres@/" + database + "?host=" + p.dir + "&port=" + poolerPort
	if !p.Prepares {
		url += "&default_query_exec_mode=cache_describe"
	}
	return url
}

// Stop ends it and removes all that it had.
func (p *Pooler) Stop() error {
	p.end()
	return os.RemoveAll(p.dir)
}
