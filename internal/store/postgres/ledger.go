package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
	"github.com/deltahook/deltahook/poller"
)

const (
	bookSQL   = `(SELECT s.book FROM dh_source s JOIN dh_name n ON n.id = s.id WHERE n.text = $1)`
	printsSQL = `SELECT hash, prints, missing FROM dh_record WHERE book = ` + bookSQL
	bodiesSQL = `SELECT hash, key, body FROM dh_record WHERE book = ` + bookSQL + ` AND hash = ANY($2::bytea[])`
)

// bodiesPage is how many bodies are asked for at once.
const bodiesPage = 1000

// Prints gives what is known of every record.
func (m *member) Prints(ctx context.Context, source string, yield func(poller.Known) bool) error {
	var known poller.Known
	var hash, prints pgtype.DriverBytes
	err := m.read(ctx, store.ShardOf(source), func(r pgx.Rows) (err error) {
		if err := r.Scan(&hash, &prints, &known.Missing); err != nil {
			return err
		}
		if len(hash) != len(known.Hash) {
			return fmt.Errorf("hash of %d bytes: restore a backup", len(hash))
		}
		copy(known.Hash[:], hash)
		if known.Print, err = stored.DecodePrint(prints); err != nil {
			return err
		}
		if !yield(known) {
			return errStop
		}
		return ctx.Err()
	}, printsSQL, source)
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// Bodies gives the stored bodies of the hashes that are known.
func (m *member) Bodies(ctx context.Context, source string, hashes []differ.Hash, yield func(hash differ.Hash, key string, body []byte) error) error {
	for first := true; first || len(hashes) > 0; first = false { // once with nothing, for the lease
		page := hashes[:min(len(hashes), bodiesPage)]
		hashes = hashes[len(page):]
		wanted := make([][]byte, len(page))
		for i := range page {
			wanted[i] = page[i][:]
		}
		if err := m.bodies(ctx, source, wanted, yield); err != nil {
			return err
		}
	}
	return nil
}

func (m *member) bodies(ctx context.Context, source string, wanted [][]byte, yield func(hash differ.Hash, key string, body []byte) error) error {
	var buf []byte
	return m.read(ctx, store.ShardOf(source), func(r pgx.Rows) error {
		var id, key, packed pgtype.DriverBytes
		if err := r.Scan(&id, &key, &packed); err != nil {
			return err
		}
		var hash differ.Hash
		copy(hash[:], id)
		body, err := m.s.unpack(buf[:0], packed)
		if err != nil {
			return err
		}
		if body != nil {
			buf = body
		}
		return yield(hash, string(key), body)
	}, bodiesSQL, source, wanted)
}

// unpack gives a stored body; nil when none is stored.
func (s *Store) unpack(buf, packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	return s.bodies.Unpack(buf, packed)
}

// Look gives the memory of all sources for reading, without a lease.
func (s *Store) Look() poller.Ledger { return onlooker{&member{s: s, looking: true}} }

// onlooker is a member that owns nothing and may see everything.
type onlooker struct{ poller.Ledger }

// Commit fails.
func (onlooker) Commit(context.Context, poller.Commit) (poller.Committed, error) {
	return poller.Committed{}, store.ErrReadOnly
}
