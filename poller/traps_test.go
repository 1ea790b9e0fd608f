package poller

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

func TestT4NothingIsRememberedWithoutItsEvents(t *testing.T) {
	api := &versioned{etag: `"1"`, body: `[{"id":"1","s":1}]`}
	r := newRig(t, api.ServeHTTP, nil)
	r.want(Complete)
	api.etag, api.body = `"2"`, `[{"id":"1","s":2}]`
	r.ledger.before = func(c Commit) error { // dies in the middle of the transaction
		for _, err := range c.Writes {
			if err != nil {
				t.Error(err)
			}
			break
		}
		return errors.New("power failure")
	}
	before := r.ledger.snapshot(t, "contacts")
	r.want(Failed)
	if r.ledger.snapshot(t, "contacts") != before {
		t.Error("a part of the poll is remembered")
	}
	r.ledger.before = nil
	r.restart()
	r.want(Complete)
	r.tells("updated 1 s")
}

func TestT12NoListIsTooLongToBeRemembered(t *testing.T) {
	list := newShelf()
	for i := range 10_001 {
		list.put(strconv.Itoa(i), "new")
	}
	r := newRig(t, list.ServeHTTP, nil)
	r.want(Complete)
	for range 3 {
		r.untouched(func() { r.want(Unchanged) })
	}
	r.restart()
	r.untouched(func() { r.want(Unchanged) })
	list.put("x", "new")
	r.want(Complete)
	r.tells("created x")
}

func TestT13NumbersAreNotRounded(t *testing.T) {
	n := "1.10"
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `[{"id":9007199254740992,"n":%s},{"id":9007199254740993,"n":12345678901234567890}]`, n)
	}, func(s *Source) { s.Initial = "emit" })
	r.want(Complete)
	r.tells("created 9007199254740992", "created 9007199254740993")
	if got := r.ledger.rows("contacts")["9007199254740993"]; got != `{"id":9007199254740993,"n":12345678901234567890}` {
		t.Errorf("stored %s", got)
	}
	n = "1.1" // number text counts
	r.want(Complete)
	r.tells("updated 9007199254740992 n")
	if body := string(r.outlet.handed[2].Body); !strings.Contains(body, `"previous":{"n":1.10}`) {
		t.Errorf("the event says %s", body)
	}
}

func TestSecretsThatAServerEchoesAreNotPrinted(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"in an error": func(w http.ResponseWriter, q *http.Request) {
			http.Error(w, "no such key "+q.Header.Get("X-Key"), http.StatusUnauthorized)
		},
		"in a page": func(w http.ResponseWriter, q *http.Request) {
			fmt.Fprint(w, "<html><title>"+q.Header.Get("X-Key")+"</title>")
		},
		"in a text": func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, q.URL.Query().Get("k")) },
		"in a link": func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "http://"+q.Header.Get("X-Key")+".example.com/", http.StatusFound)
		},
		"not escaped":  func(w http.ResponseWriter, q *http.Request) { http.Error(w, q.URL.String(), http.StatusTeapot) },
		"in a timeout": func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, answer, func(s *Source) {
				s.Headers = map[string]string{"X-Key": "{secret:env:TOKEN}"}
				s.Query = map[string]string{"k": "{secret:env:PASSWORD}"}
				s.Timeout = setting.Duration(50 * time.Millisecond)
			})
			got := r.want(Failed)
			all := fmt.Sprintf("%s %s %v %+v", got.Message, got.Hint, got.Err, got.Poll)
			if strings.Contains(all, "planted") || got.Err == nil {
				t.Errorf("a secret is printed: %s", all)
			}
		})
	}
}

func TestT23ADollarIsNothingSpecial(t *testing.T) {
	var got string
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		got = q.Header.Get("X-Filter") + " " + q.URL.Query().Get("f") + " " + q.URL.Query().Get("g")
		fmt.Fprint(w, `[]`)
	}, func(s *Source) {
		s.URL += "?f=$HOME"
		s.Query = map[string]string{"g": "a$b${PATH}"}
		s.Headers = map[string]string{"X-Filter": "$TOKEN"}
	})
	r.poll()
	if want := "$TOKEN $HOME a$b${PATH}"; got != want {
		t.Errorf("the server saw %q, want %q", got, want)
	}
}
