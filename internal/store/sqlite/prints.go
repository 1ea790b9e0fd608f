package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
	"github.com/deltahook/deltahook/poller"
)

const (
	// Many fingerprints make one row, each behind its hash: to hand a row over takes longer than to read it.
	printsSQL = `SELECT count(*), coalesce(max(missing), 0), CAST(group_concat(hash || prints, '') AS BLOB) FROM print
		WHERE book = ? AND hash >= ? AND hash < ?`
	missingSQL = `SELECT hash, missing FROM print WHERE book = ? AND hash >= ? AND hash < ? AND missing > 0`
)

// printsStep is about how many fingerprints are in a row.
const printsStep = 4096

// Prints gives what is known of every record.
func (m *member) Prints(ctx context.Context, source string, yield func(poller.Known) bool) error {
	err := m.read(ctx, store.ShardOf(source), func(q querier) error {
		s, err := findSource(ctx, q, source)
		if err != nil || !s.book.Valid {
			return err
		}
		parts := uint64(max(s.state.Records, 0)/printsStep + 1)
		for part := range parts {
			span := []any{s.book.Int64, hashesFrom(part, parts), hashesFrom(part+1, parts)}
			if err := eachPrint(ctx, q, span, yield); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// hashesFrom gives where a part of all hashes begins, which are spread evenly. What would be behind the last part is larger than every
// hash.
func hashesFrom(part, parts uint64) []byte {
	if part == parts {
		return slices.Repeat([]byte{0xff}, len(differ.Hash{})+1)
	}
	return binary.BigEndian.AppendUint64(nil, part*(math.MaxUint64/parts))
}

// eachPrint yields the fingerprints of a span of hashes: the book, the first one, and the one behind the last.
func eachPrint(ctx context.Context, q querier, span []any, yield func(poller.Known) bool) error {
	quiet := context.WithoutCancel(ctx)
	var n, most int
	var row []byte
	if err := q.QueryRowContext(quiet, printsSQL, span...).Scan(&n, &most, &row); err != nil {
		return err
	}
	var missing map[differ.Hash]int
	if most > 0 {
		var err error
		if missing, err = missingOf(quiet, q, span); err != nil {
			return err
		}
	}
	const size = len(differ.Hash{}) + stored.PrintSize
	if len(row) != n*size {
		return fmt.Errorf("%d fingerprints of %d bytes: %s", n, len(row), damagedHint)
	}
	for one := range slices.Chunk(row, size) {
		known := poller.Known{Hash: differ.Hash(one[:size-stored.PrintSize])}
		print, err := stored.DecodePrint(one[len(known.Hash):])
		if err != nil {
			return fmt.Errorf("%w: %s", err, damagedHint)
		}
		known.Print, known.Missing = print, missing[known.Hash]
		if !yield(known) {
			return errStop
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// missingOf gives the missing records of a span, which are few.
func missingOf(ctx context.Context, q querier, span []any) (map[differ.Hash]int, error) {
	all := map[differ.Hash]int{}
	return all, each(ctx, q, func(r *sql.Rows) error {
		var raw sql.RawBytes
		var hash differ.Hash
		var missing int
		err := r.Scan(&raw, &missing)
		if copy(hash[:], raw); err == nil {
			all[hash] = missing
		}
		return err
	}, missingSQL, span...)
}
