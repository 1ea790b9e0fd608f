package poller

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// hijack answers with raw bytes and closes the connection.
func hijack(tb testing.TB, w http.ResponseWriter, raw string) {
	tb.Helper()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		tb.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(raw)); err != nil {
		tb.Error(err)
	}
}

func reply(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestT2T3WhatIsNotAListingDeletesNothing(t *testing.T) {
	const loginPage = "<!DOCTYPE html>\n<html><head><title>Sign in to\n CRM</title></head><body>please</body></html>"
	for _, c := range []struct {
		name    string
		answer  http.HandlerFunc
		message string
	}{
		{"truncated JSON", reply(200, "application/json", `{"data":{"items":[{"id":"1"},{"id":"2"},{"id":`), "the answer of page 1 breaks off after 46 bytes: it is truncated JSON (200, 46 B, application/json)"},
		{"truncated between records", reply(200, "application/json", `{"data":{"items":[{"id":"1"}`), "breaks off after 28 bytes"},
		{"truncated behind the list", reply(200, "application/json", `{"data":{"items":[]}`), "breaks off after 20 bytes"},
		{"an HTML page with 200", reply(200, "text/html; charset=utf-8", loginPage), `expected JSON, got HTML: "Sign in to CRM" (200, text/html)`},
		{"an HTML page that says it is JSON", reply(200, "application/json", loginPage), `expected JSON, got HTML: "Sign in to CRM"`},
		{"XML", reply(200, "text/xml", `<?xml version="1.0"?><items><item/></items>`), `expected JSON, got XML: "<?xml version=\"1.0\"?><items><item/></items>" (200, text/xml)`},
		{"text", reply(200, "text/plain", "ORA-00942: table or view does not exist"), `expected JSON, got "ORA-00942: table or view does not exist" (200, 39 B, text/plain)`},
		{"null", reply(200, "application/json", `null`), `records path "data.items" not found`},
		{"a null list", reply(200, "application/json", `{"data":{"items":null}}`), `records path "data.items" is null in the answer of page 1, not a list (200, 23 B, application/json)`},
		{"an object instead of the list", reply(200, "application/json", `{"data":{"items":{"id":"1"}}}`), `records path "data.items" is an object in the answer of page 1, not a list`},
		{"text instead of the list", reply(200, "application/json", `{"data":{"items":"none"}}`), `is a string in the answer of page 1, not a list`},
		{"a missing list path", reply(200, "application/json", `{"data":{"total":3}}`), `records path "data.items" not found in the answer of page 1 (200, 20 B, application/json)`},
		{"an error with 200", reply(200, "application/json", `{"error":"backend"}`), `records path "data.items" not found`},
		{"nothing", reply(200, "application/json", ``), `expected JSON, got an empty answer on page 1`},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "answered 204, without a list"},
		{"206", reply(206, "application/json", `{"data":{"items":[]}}`), "answered 206, only a part"},
		{"202", reply(202, "application/json", `{"data":{"items":[]}}`), `answered 202: "{\"data\"`},
		{"304 unasked", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, "304 (not modified) to a request without conditions"},
		{"401", reply(401, "application/json", `{"message":"token expired"}`), `answered 401: "{\"message\":\"token expired\"}"`},
		{"404", reply(404, "text/html", `<html><title>Not here</title>`), `answered 404: "Not here"`},
		{"500", reply(500, "text/plain", "oops"), `answered 500: "oops"`},
		{"a redirect elsewhere", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://login.example.com/?next=secret")
			w.WriteHeader(302)
		}, "answered 302 and redirects to https://login.example.com, which is not followed"},
		{"a second document", reply(200, "application/json", `{"data":{"items":[]}} {"data":{"items":[]}}`), "not JSON"},
		{"a cut HTTP/1.0 body", func(w http.ResponseWriter, _ *http.Request) {
			hijack(t, w, "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"+`{"data":{"items":[{"id":"1"},`)
		}, "breaks off after 29 bytes: it is truncated JSON"},
		{"a body shorter than announced", func(w http.ResponseWriter, _ *http.Request) {
			hijack(t, w, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"+`{"data":{"items":[]}}`)
		}, "the answer was cut off: the connection ended before the announced end"},
		{"a cut chunked body", func(w http.ResponseWriter, _ *http.Request) {
			hijack(t, w, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n16\r\n"+`{"data":{"items":[]}}`+"\n\r\n")
		}, "the answer was cut off"},
		{"no answer", func(w http.ResponseWriter, _ *http.Request) { hijack(t, w, "") }, "closed the connection without an answer"},
		{"a hanging body", func(w http.ResponseWriter, q *http.Request) {
			fmt.Fprint(w, `{"data":{"items":[`)
			_ = http.NewResponseController(w).Flush()
			<-q.Context().Done()
		}, "timed out after 100ms while reading the answer"},
		{"no status line in time", func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() }, "did not answer within 100ms"},
		{"an answer that is too large", reply(200, "application/json", `{"data":{"items":[]},"x":"`+strings.Repeat("x", 5000)+`"}`), "the answer is larger than 4KiB (response.max_body)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := reply(200, "application/json", `{"data":{"items":[{"id":"1"},{"id":"2"},{"id":"3"}]}}`)
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) { answer(w, q) }, func(s *Source) {
				s.Records, s.Deletes.Confirm, s.Guard.Empty, s.Guard.MinDeletes = differ.MustPath("data.items"), 1, "allow", 100
				s.Response.MaxBody = 4 << 10
				s.Timeout = setting.Duration(100 * time.Millisecond)
			})
			good := answer
			r.want(Complete)
			answer = c.answer
			r.untouched(func() {
				for range 3 {
					if got := r.want(Failed); !strings.Contains(got.Message, c.message) {
						t.Errorf("message %q, want %q", got.Message, c.message)
					}
				}
			})
			answer = good
			r.untouched(func() { r.want(Unchanged) })
			r.restart()
			r.untouched(func() { r.want(Unchanged) })
		})
	}
}

func TestT20AGzipBombIsCountedAfterDecompression(t *testing.T) {
	bomb := false
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		if !bomb {
			fmt.Fprint(w, `[{"id":1}]`)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(gzipped(t, "["+strings.Repeat(" ", 8<<20)+"]"))
	}, func(s *Source) { s.Response.MaxBody = 1 << 20 })
	r.want(Complete)
	bomb = true
	r.untouched(func() {
		if got := r.want(Failed); !strings.Contains(got.Message, "larger than 1MiB") || got.Bytes > 2<<20 {
			t.Errorf("message %q, %d bytes", got.Message, got.Bytes)
		}
	})
}

func TestAllPagesTogetherMayBeLimited(t *testing.T) {
	list := newShelf("1", "2", "3", "4", "5", "6", "7", "8")
	r := newRig(t, paged(list, 2, nil), func(s *Source) { s.Pages.Kind, s.Records, s.Response.MaxScan = "page", differ.MustPath("items"), 100 })
	r.untouched(func() {
		if got := r.want(Failed); !strings.Contains(got.Message, "all pages together are larger than 100 B (response.max_scan)") {
			t.Errorf("message %q", got.Message)
		}
	})
}

func TestAServerThatIsAwayIsAFailedPoll(t *testing.T) {
	const gone = "http://127.0.0.1:1" // nobody listens there, and nobody is given it
	r := newRig(t, newShelf("1").ServeHTTP, nil)
	r.want(Complete)
	r.source.URL = gone
	r.ledger.sources["contacts"] = func(s memSource) memSource {
		s.State.Identity = identityOf(&r.source, gone)
		return s
	}(r.ledger.sources["contacts"])
	r.restart()
	r.untouched(func() {
		if got := r.want(Failed); !strings.Contains(got.Message, "connection refused by 127.0.0.1:") {
			t.Errorf("message %q", got.Message)
		}
	})
}

func TestThePollEndsAtItsDeadline(t *testing.T) {
	list := newShelf("1", "2", "3", "4", "5", "6", "7", "8", "9")
	r := newRig(t, paged(list, 1, nil), func(s *Source) {
		s.Pages.Kind, s.Records = "page", differ.MustPath("items")
		s.Pages.Delay, s.Deadline = setting.Duration(30*time.Millisecond), setting.Duration(100*time.Millisecond)
	})
	r.untouched(func() {
		if got := r.want(Failed); !strings.Contains(got.Message, "the poll took longer than its deadline of 100ms (") {
			t.Errorf("message %q", got.Message)
		}
	})
}
