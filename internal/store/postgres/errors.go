package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// placedError is an error that an operator can do something about: it names the database and the next step.
type placedError struct {
	place, hint string
	err         error
}

func (e *placedError) Error() string {
	if e.hint == "" {
		return fmt.Sprintf("store: %s: %v", e.place, e.err)
	}
	return fmt.Sprintf("store: %s: %v: %s", e.place, e.err, e.hint)
}

func (e *placedError) Unwrap() error { return e.err }

// Temporary says whether the server was only not there, or not ready: refused passwords and the like stay.
func (e *placedError) Temporary() bool {
	if server, ok := errors.AsType[*pgconn.PgError](e.err); ok {
		return strings.HasPrefix(server.Code, "57P0") || server.Code == "53300"
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(e.err, &connect) || errors.As(e.err, &network) || errors.Is(e.err, io.ErrUnexpectedEOF) || pgconn.Timeout(e.err)
}

// locate adds the place, and the next step if there is one.
func (s *Store) locate(err error) error {
	var placed *placedError
	if err == nil || errors.As(err, &placed) {
		return err
	}
	return &placedError{place: s.place, err: err, hint: hintFor(err)}
}

// explain adds place and next step to what the database or the way to it says. Other errors pass.
func (s *Store) explain(err error) error {
	var e *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	if errors.Is(err, context.Canceled) || !errors.As(err, &e) && !errors.As(err, &connect) && !errors.As(err, &network) {
		return err
	}
	return s.locate(err)
}

func hintFor(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
			return "is PostgreSQL running there, and may this machine reach it? a running deltahook goes on by itself once it answers"
		}
		return ""
	}
	switch {
	case e.Code == "28P01" || e.Code == "28000":
		return "check user and password in store.url, and pg_hba.conf of the server"
	case e.Code == "3D000":
		return "create the database, or check store.url"
	case e.Code == "42501":
		return "let the role own the database and the tables dh_… in it; a new database needs GRANT CREATE ON SCHEMA public at least"
	case e.Code == "53300":
		return "raise max_connections of the server, set pool_max_conns in store.url, or put PgBouncer in between"
	case e.Code == "53100":
		return "nothing is lost; free some space on the server; a running deltahook goes on by itself"
	case e.Code == "57014" && strings.Contains(e.Message, "statement timeout"):
		return "say ALTER ROLE … SET statement_timeout = 0 for the role in store.url; deltahook has time limits of its own"
	case e.Code == "25006":
		return "the server takes no writes; name the primary in store.url"
	case e.Code == "26000" || e.Code == "42P05":
		return "a pooler loses prepared statements; use PgBouncer 1.21 or newer with max_prepared_statements, or add default_query_exec_mode=cache_describe to store.url"
	case e.Code == "08P01" && strings.Contains(e.Message, "startup parameter"):
		return "name the parameter in ignore_startup_parameters of PgBouncer"
	}
	return ""
}

// failedForSure says whether the server has told that a statement, or a transaction, had no effect. After another error it
// may have.
func failedForSure(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Severity == "ERROR"
	}
	return pgconn.SafeToRetry(err)
}

// lockTimeout says whether a statement gave up because somebody else had what it wanted to lock.
func lockTimeout(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "55P03"
}

// passing says whether the server gave up on a transaction because of another one, so that it can be tried again.
func passing(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40P01" || e.Code == "40001")
}
