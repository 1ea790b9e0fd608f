package poller

import (
	"fmt"
	"strconv"

	"github.com/deltahook/deltahook/internal/setting"
)

// First is the number that a server gives to its first page, or to its first record. The zero value stands for what is usual: pages are
// counted from 1, offsets from 0. (SCIM, RFC 7644 section 3.4.2.4, and OpenSearch count records from 1.)
type First int

// FirstIs is a number that was given.
func FirstIs(n int) First { return First(n + 1) }

// Of gives the number for a kind of paging.
func (f First) Of(kind string) int {
	switch {
	case f != 0:
		return int(f) - 1
	case kind == "page":
		return 1
	}
	return 0
}

// UnmarshalText reads a number in quotes.
func (f *First) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return &setting.HintedError{Message: fmt.Sprintf("%q is not a number", text), Hint: "write a number like 1"}
	}
	return f.SetNumber(n)
}

// SetNumber takes a number.
func (f *First) SetNumber(n int64) error {
	if n < 0 || n > 1_000_000 {
		return &setting.HintedError{Message: fmt.Sprintf("nothing is counted from %d", n), Hint: "write the number of the first page or record, like 1"}
	}
	*f = FirstIs(int(n))
	return nil
}

// MarshalText writes the number as UnmarshalText reads it, and nothing when it was not given.
func (f First) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// String gives the number, or nothing when it was not given.
func (f First) String() string {
	if f == 0 {
		return ""
	}
	return strconv.Itoa(int(f) - 1)
}
