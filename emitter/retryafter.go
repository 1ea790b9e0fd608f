package emitter

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// retryAfterMax caps what a receiver can ask for.
const retryAfterMax = 24 * time.Hour

// retryAfter reads how long the receiver wants to be left alone: seconds, with a fraction or not, or an HTTP date (RFC 9110,
// section 10.2.3), which is taken relative to the receiver's own Date when there is one. It is at most 24 h, and 0 when
// there is nothing readable or it lies in the past.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if strings.Trim(text, "0123456789.") == "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil && seconds == 0 {
			return 0
		}
		return time.Duration(min(seconds, retryAfterMax.Seconds()) * float64(time.Second))
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(until.Sub(now), 0), retryAfterMax)
}
