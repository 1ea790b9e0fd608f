package postgres

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// The zero time is NULL in the database.

// at gives a time as it is stored.
func at(t time.Time) pgtype.Timestamptz { return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()} }

// instant is where a stored time is read to.
type instant time.Time

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (i *instant) ScanTimestamptz(v pgtype.Timestamptz) error {
	*i = instant{}
	if v.Valid {
		*i = instant(v.Time.UTC())
	}
	return nil
}

// micros is where a stored duration is read to.
type micros time.Duration

// ScanInt64 implements pgtype.Int64Scanner.
func (m *micros) ScanInt64(v pgtype.Int8) error {
	*m = micros(time.Duration(v.Int64) * time.Microsecond)
	return nil
}
