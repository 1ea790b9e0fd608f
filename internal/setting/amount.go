package setting

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Amount is a part of a whole, written as "10%", or a number, written as 100.
type Amount struct {
	Share Share
	Count int64 // counts when it is not 0
}

// Numeric is implemented by values that may also be written as a bare number.
type Numeric interface {
	SetNumber(n int64) error
}

// UnmarshalText reads "10%", or a number in quotes.
func (a *Amount) UnmarshalText(text []byte) error {
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return a.SetNumber(n)
	}
	*a = Amount{}
	if strings.HasSuffix(string(text), "%") {
		return a.Share.UnmarshalText(text)
	}
	return &HintedError{Message: fmt.Sprintf("%q is not an amount", text), Hint: `write a percentage like "10%", or a number like 100`}
}

// SetNumber takes a number.
func (a *Amount) SetNumber(n int64) error {
	if n < 0 {
		return &HintedError{Message: fmt.Sprintf("%d is less than nothing", n), Hint: `write a percentage like "10%", or a number like 100`}
	}
	*a = Amount{Count: n}
	return nil
}

// MarshalText writes the amount as UnmarshalText reads it.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// String gives "10%" or "100".
func (a Amount) String() string {
	if a.Count != 0 {
		return strconv.FormatInt(a.Count, 10)
	}
	return a.Share.String()
}

// Of gives how much it is of a whole; of one that is not known, which is negative, a share is nothing.
func (a Amount) Of(whole int64) int64 {
	if a.Count != 0 {
		return a.Count
	}
	if whole < 0 {
		return 0
	}
	return int64(math.Ceil(float64(a.Share) * float64(whole)))
}
