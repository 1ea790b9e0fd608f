package emitter

import (
	"net/http"
	"testing"
	"time"
)

// T14, D1, D16: each form is read, none is shortened, and the day is the cap.
func TestT14D1D16RetryAfterIsReadInAllItsForms(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, value, date string
		want              time.Duration
	}{
		{name: "absent"},
		{name: "seconds", value: "120", want: 2 * time.Minute},
		{name: "an hour is an hour", value: "3600", want: time.Hour},
		{name: "fraction", value: "1.5", want: 1500 * time.Millisecond},
		{name: "blanks around", value: "  7 ", want: 7 * time.Second},
		{name: "zero", value: "0"},
		{name: "negative", value: "-5"},
		{name: "a month", value: "2592000", want: 24 * time.Hour},
		{name: "beyond 64 bits", value: "99999999999999999999999999", want: 24 * time.Hour},
		{name: "infinite", value: "Inf"},
		{name: "exponent", value: "1e9"},
		{name: "not a number", value: "1.2.3"},
		{name: "dot", value: "."},
		{name: "words", value: "soon"},
		{name: "RFC 9110 date", value: "Mon, 23 Nov 2026 12:01:30 GMT", want: 90 * time.Second},
		{name: "RFC 850 date", value: "Monday, 23-Nov-26 12:01:30 GMT", want: 90 * time.Second},
		{name: "asctime date", value: "Mon Nov 23 12:01:30 2026", want: 90 * time.Second},
		{name: "date in the past", value: "Mon, 23 Nov 2026 11:00:00 GMT"},
		{name: "date next year", value: "Tue, 23 Nov 2027 12:00:00 GMT", want: 24 * time.Hour},
		{name: "date of a clock that is an hour ahead", value: "Mon, 23 Nov 2026 13:00:30 GMT", date: "Mon, 23 Nov 2026 13:00:00 GMT", want: 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			if tt.value != "" {
				h.Set("Retry-After", tt.value)
			}
			if tt.date != "" {
				h.Set("Date", tt.date)
			}
			if got := retryAfter(h, now); got != tt.want {
				t.Errorf("Retry-After %q: got %s, want %s", tt.value, got, tt.want)
			}
		})
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "1.5", "-1", "Mon, 23 Nov 2026 12:01:30 GMT", "1e400", "0x1p-2", "", "..", "9999999999999"} {
		f.Add(s, "Mon, 23 Nov 2026 12:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		h := http.Header{"Retry-After": {value}, "Date": {date}}
		if d := retryAfter(h, time.Unix(0, 0)); d < 0 || d > 24*time.Hour {
			t.Fatalf("Retry-After %q, Date %q: %s", value, date, d)
		}
	})
}
