package hooktest

import (
	"net/http"
	"time"
)

// RetryForm is one way to write Retry-After.
type RetryForm struct {
	Name  string
	Value string
	Wait  time.Duration // what a sender makes of it that keeps to the contract: a floor, at most a day
}

// RetryForms gives the ways in which receivers write Retry-After: those of RFC 9110, those they invented, and mistakes.
func RetryForms(now time.Time) []RetryForm {
	now = now.UTC().Truncate(time.Second)
	const day = 24 * time.Hour
	date := func(in time.Duration, layout string) string { return now.Add(in).Format(layout) }
	return []RetryForm{
		{"seconds", "120", 2 * time.Minute},
		{"seconds with blanks around them", "  7 ", 7 * time.Second},
		{"none at all", "0", 0},
		{"fraction", "1.5", 1500 * time.Millisecond},
		{"huge", "99999999999999999999999", day},
		{"more than a day", "1000000", day},
		{"negative", "-5", 0},
		{"not a number", "NaN", 0},
		{"infinite", "+Inf", 0},
		{"word", "soon", 0},
		{"empty", "", 0},
		{"date", date(90*time.Second, http.TimeFormat), 90 * time.Second},
		{"date of RFC 850", date(90*time.Second, "Monday, 02-Jan-06 15:04:05 GMT"), 90 * time.Second},
		{"date of asctime", date(90*time.Second, time.ANSIC), 90 * time.Second},
		{"date in the past", date(-time.Hour, http.TimeFormat), 0},
		{"date in a year", date(365*day, http.TimeFormat), day},
		{"date that does not exist", "Mon, 32 Foo 2026 99:99:99 GMT", 0},
	}
}

// Transient gives faults that an event meets without having arrived, and after which it has to be sent again. Each ends soon.
func Transient() []Fault {
	faults := []Fault{
		Reset(), Close(), Garbage(), Cut(http.StatusInternalServerError), HTTP10(http.StatusBadGateway, "down"), Raw("HTTP/1.1 2x0 OK\r\n\r\n"),
		Redirect(http.StatusFound, "/elsewhere"), Redirect(http.StatusPermanentRedirect, "http://127.0.0.1:1/"),
		GzipBomb(http.StatusServiceUnavailable, 1<<20), RetryAfter(http.StatusTooManyRequests, "0"), RetryAfter(http.StatusServiceUnavailable, "-5"),
	}
	for _, code := range []int{401, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504} {
		faults = append(faults, Status(code))
	}
	return faults
}
