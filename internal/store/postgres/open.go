package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/deltahook/deltahook/internal/store/stored"
)

// Connections of one process, unless the url says pool_max_conns.
const maxConns = 12

// oldest is the oldest server that works, as server_version_num has it.
const oldest = 140000

// configOf reads a URL. Its errors do not repeat the password.
func configOf(url string) (*pgxpool.Config, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the url of the database cannot be read: %w", withoutURL(err))
	}
	if _, said := c.ConnConfig.RuntimeParams["application_name"]; !said {
		c.ConnConfig.RuntimeParams["application_name"] = "deltahook"
	}
	if c.ConnConfig.ConnectTimeout == 0 || c.ConnConfig.ConnectTimeout > time.Minute {
		c.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	return c, nil
}

// withoutURL gives the cause of a parse error; pgx repeats the URL in front of it.
func withoutURL(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// Open connects to the database and brings its schema up to date.
func Open(ctx context.Context, o Options) (*Store, error) {
	config, err := configOf(o.URL)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if config.MaxConns < maxConns && config.MaxConns <= defaultConns() {
		config.MaxConns = maxConns
	}
	codec, err := stored.NewCodec()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	cc := config.ConnConfig
	s := &Store{
		place: fmt.Sprintf("postgres://%s/%s", net.JoinHostPort(cc.Host, strconv.Itoa(int(cc.Port))), cc.Database),
		log:   o.Log, now: o.Now, readOnly: o.ReadOnly, steps: o.steps, bodies: codec,
		large: make(chan struct{}, max(1, config.MaxConns/2)),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now, s.byServer = time.Now, true
	}
	if s.steps == nil {
		s.steps = migrations()
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, s.locate(err)
	}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(s.locate(err), s.Close())
	}
	return s, nil
}

func (s *Store) begin(ctx context.Context) error {
	if err := s.suits(ctx); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	var seed []byte
	if err := s.pool.QueryRow(ctx, `SELECT seed FROM dh_meta`).Scan(&seed); err != nil {
		return err
	}
	if len(seed) != len(s.seed) {
		return fmt.Errorf("seed: %d bytes instead of %d: restore a backup", len(seed), len(s.seed))
	}
	copy(s.seed[:], seed)
	s.log.DebugContext(ctx, "store opened", "database", s.place)
	return nil
}

// suits says whether the server can keep what is promised.
func (s *Store) suits(ctx context.Context) error {
	var version int
	var encoding, durable string
	var standby bool
	err := s.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::integer, current_setting('server_encoding'),
		current_setting('synchronous_commit'), pg_is_in_recovery()`).Scan(&version, &encoding, &durable, &standby)
	switch {
	case err != nil:
		return err
	case version < oldest:
		return fmt.Errorf("the server is PostgreSQL %d; 14 or newer is needed", version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the database is encoded in %s; create one with ENCODING 'UTF8'", encoding)
	case s.readOnly:
		return nil
	case standby:
		return errors.New("the server is a standby, which cannot be written to; name the primary, or several hosts and target_session_attrs=read-write")
	case durable == "off":
		return errors.New("synchronous_commit is off for this role: what is confirmed would be lost with the server; say ALTER ROLE … SET synchronous_commit = on")
	}
	return nil
}

// Token gives the secret that the replicas and the commands have in common when admin.token is not set: who may read the
// store may act.
func (s *Store) Token(ctx context.Context) (token string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT token FROM dh_meta`).Scan(&token)
	return token, s.explain(err)
}
