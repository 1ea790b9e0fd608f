package setting

import (
	"fmt"
	"time"
)

// Time is a moment, written as in RFC 3339: "2026-12-01T00:00:00Z". The zero value is none.
type Time struct{ time.Time }

// UnmarshalText reads RFC 3339.
func (t *Time) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return &HintedError{Message: fmt.Sprintf("%q is not a time", text), Hint: `write it as "2026-12-01T00:00:00Z"`}
	}
	t.Time = at
	return nil
}
