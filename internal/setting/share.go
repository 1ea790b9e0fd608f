package setting

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Share is a part of a whole, written as "20%".
type Share float64

// UnmarshalText parses "20%".
func (s *Share) UnmarshalText(text []byte) error {
	num, ok := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(num, 64)
	if !ok || err != nil || !(v >= 0 && v <= 100) { // not a number is neither
		return &HintedError{Message: fmt.Sprintf("%q is not a share", text), Hint: "write a percentage between 0% and 100%, like \"20%\""}
	}
	*s = Share(v / 100)
	return nil
}

// MarshalText writes the percentage.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String gives the percentage: "20%".
func (s Share) String() string {
	const precision = 1e9 // 0.07 * 100 is a little more than 7
	return strconv.FormatFloat(math.Round(float64(s)*100*precision)/precision, 'f', -1, 64) + "%"
}

// Rate is a number of requests per time, written as "50/s", "600/m" or "1000/h". The zero value is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// UnmarshalText parses "50/s".
func (r *Rate) UnmarshalText(text []byte) error {
	num, unit, ok := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(num)
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[unit]
	if !ok || err != nil || n < 1 || per == 0 {
		return &HintedError{Message: fmt.Sprintf("%q is not a rate", text), Hint: "write requests per time, like \"50/s\", \"600/m\" or \"1000/h\""}
	}
	*r = Rate{Count: n, Per: per}
	return nil
}

// MarshalText writes the rate as UnmarshalText reads it; nothing when there is no limit.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String gives "50/s", or "" when there is no limit.
func (r Rate) String() string {
	if r.IsZero() {
		return ""
	}
	unit := map[time.Duration]string{time.Second: "s", time.Minute: "m", time.Hour: "h", 24 * time.Hour: "d"}[r.Per]
	return strconv.Itoa(r.Count) + "/" + unit
}

// IsZero says whether there is no limit.
func (r Rate) IsZero() bool { return r.Count == 0 }

// PerSecond gives the limit as events per second; 0 when there is none.
func (r Rate) PerSecond() float64 {
	if r.IsZero() {
		return 0
	}
	return float64(r.Count) / r.Per.Seconds()
}

// SecretList is one secret or a list of them.
type SecretList []Secret

// SetStrings takes the references; see Listed.
func (l *SecretList) SetStrings(refs []string) error {
	*l = nil
	for _, ref := range refs {
		var s Secret
		if err := s.UnmarshalText([]byte(ref)); err != nil {
			return err
		}
		*l = append(*l, s)
	}
	return nil
}

// Listed is implemented by values that may be written as one string or as a list of strings.
type Listed interface {
	SetStrings(values []string) error
}
