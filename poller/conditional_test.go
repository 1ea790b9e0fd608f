package poller

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// versioned serves a list with validators and honours conditions.
type versioned struct {
	etag, modified string
	body           string
	broken         bool // 200 with an answer that cannot be read, under the new validators
	asked          []string
	ignore         bool // answer 304 to everything
}

func (v *versioned) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	v.asked = append(v.asked, q.Header.Get("If-None-Match")+"|"+q.Header.Get("If-Modified-Since"))
	if v.ignore || v.etag != "" && q.Header.Get("If-None-Match") == v.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if v.etag != "" {
		w.Header().Set("ETag", v.etag)
	}
	if v.modified != "" {
		w.Header().Set("Last-Modified", v.modified)
	}
	if v.broken {
		fmt.Fprint(w, v.body[:len(v.body)-1])
		return
	}
	fmt.Fprint(w, v.body)
}

func (v *versioned) last() string { return v.asked[len(v.asked)-1] }

func TestT9ValidatorsAreEchoedByteForByte(t *testing.T) {
	// A weak tag, and a date that no parser would write like this.
	api := &versioned{etag: `W/"a,b"`, modified: "Mon, 1 Jan 2041 00:00:00 gmt", body: `[{"id":1}]`}
	r := newRig(t, api.ServeHTTP, nil)
	r.want(Complete)
	r.untouched(func() { r.want(Unchanged) })
	if want := `W/"a,b"|Mon, 1 Jan 2041 00:00:00 gmt`; api.asked[0] != "|" || api.last() != want {
		t.Errorf("asked %q", api.asked)
	}
	r.restart() // they were stored with the records
	r.want(Unchanged)
	if api.last() == "|" {
		t.Error("the validators were lost by a restart")
	}
}

func TestT9ValidatorsOfAnAnswerThatWasNotAppliedAreNotSent(t *testing.T) {
	api := &versioned{etag: `"1"`, body: `[{"id":"1"},{"id":"2"}]`}
	r := newRig(t, api.ServeHTTP, nil)
	r.want(Complete)
	api.etag, api.body, api.broken = `"2"`, `[{"id":"1"},{"id":"3"}]`, true
	r.want(Failed)
	api.broken = false
	r.want(Complete)
	r.tells("created 3")
}

func TestAHeldSourceIsAskedWithoutConditions(t *testing.T) {
	api := &versioned{etag: `"1"`, body: `[{"id":"1"},{"id":"2"}]`}
	r := newRig(t, api.ServeHTTP, nil)
	r.want(Complete)
	api.etag, api.body = `"2"`, `[]`
	r.want(Held)
	api.etag, api.body = `"1"`, `[{"id":"1"},{"id":"2"}]`
	if got := r.want(Complete); !got.released || api.last() != "|" {
		t.Errorf("asked with %s; %+v", api.last(), got)
	}
}

func TestValidatorsFromBeforeAPartialPollAreForgotten(t *testing.T) {
	api := &versioned{etag: `"1"`, body: `[{"id":"1","s":1}]`}
	r := newRig(t, api.ServeHTTP, nil)
	r.want(Complete)
	api.etag, api.body = `"2"`, `[{"id":"1","s":2},{"name":"x"}]`
	r.want(Partial)
	if api.last() != `"1"|` {
		t.Errorf("asked with %s", api.last())
	}
	r.want(Partial)
	if api.last() != "|" {
		t.Errorf("asked with %s", api.last())
	}
	// Now upstream goes back to what the first validator stands for: a 304 would hide that.
	api.etag, api.body = `"1"`, `[{"id":"1","s":1}]`
	r.want(Complete)
	r.tells("updated 1 s", "updated 1 s")
	api.etag, api.body = `"2"`, `[{"id":"1","s":1},{"name":"x"}]`
	r.want(Partial)
	api.etag = `"3"`
	r.want(Partial)
	if api.last() != `"1"|` {
		t.Errorf("asked with %s although nothing was applied since", api.last())
	}
}

func TestT9AnUnconditionalRequestIsForcedNowAndThen(t *testing.T) {
	api := &versioned{etag: `"stuck"`, body: `[{"id":"1"}]`}
	r := newRig(t, api.ServeHTTP, nil)
	r.want(Complete)
	api.body = `[{"id":"1"},{"id":"2"}]` // under the same tag
	for range 5 {
		r.want(Unchanged)
		r.now = r.now.Add(time.Hour)
	}
	r.now = r.now.Add(time.Hour)
	r.want(Complete)
	r.tells("created 2")

	api.body = `[{"id":"1"},{"id":"2"},{"id":"3"}]`
	r.want(Unchanged)
	r.now = r.now.Add(-24 * time.Hour) // the clock is set back: nobody knows how long ago the last one was
	r.want(Complete)
	r.tells("created 3")
}

func TestNewValidatorsOfTheSameRecordsAreNotWritten(t *testing.T) {
	api := &versioned{etag: `"1"`, body: `[{"id":"1"}]`}
	r := newRig(t, api.ServeHTTP, nil)
	r.want(Complete)
	api.etag, api.body = `"2"`, `[ {"id":"1"} ]`
	r.untouched(func() { r.want(Unchanged); r.want(Unchanged) })
	if api.last() != `"2"|` {
		t.Errorf("asked with %s", api.last())
	}
	r.restart() // costs one request that the server answers in full
	r.untouched(func() { r.want(Unchanged); r.want(Unchanged) })
	if api.last() != `"2"|` {
		t.Errorf("asked with %s", api.last())
	}
}

func TestAMissingRecordIsLookedForWithoutConditions(t *testing.T) {
	api := &versioned{etag: `"1"`, body: `[{"id":"1"},{"id":"2"}]`}
	r := newRig(t, api.ServeHTTP, nil)
	r.want(Complete)
	api.etag, api.body = `"2"`, `[{"id":"1"}]`
	r.want(Complete)
	r.restart()
	r.want(Complete)
	r.tells("deleted 2")
	r.want(Unchanged)
	if api.last() != `"2"|` {
		t.Errorf("asked with %s", api.last())
	}
}

func TestA304ThatWasNotAskedForIsAFailure(t *testing.T) {
	api := &versioned{body: `[{"id":"1"}]`}
	r := newRig(t, api.ServeHTTP, nil)
	r.want(Complete)
	api.ignore = true
	r.untouched(func() { r.want(Failed) })
}

func TestValidatorsBelongToOneRequest(t *testing.T) {
	for name, change := range map[string]func(*Source){
		"query":  func(s *Source) { s.Query = map[string]string{"a": "1"} },
		"header": func(s *Source) { s.Headers = map[string]string{"Accept-Language": "de"} },
		"secret": func(s *Source) { s.Headers = map[string]string{"X-Key": "{secret:env:TOKEN}"} },
		"time":   func(s *Source) { s.Query = map[string]string{"until": "{now}"} },
		"ignore": func(s *Source) { s.Ignore = paths("x") },
		"off":    func(s *Source) { s.Conditional = "off" },
		"pages":  func(s *Source) { s.Pages.Kind = "link" },
	} {
		t.Run(name, func(t *testing.T) {
			api := &versioned{etag: `"1"`, body: `[{"id":"1"}]`}
			r := newRig(t, api.ServeHTTP, nil)
			r.want(Complete)
			r.edit(change)
			if got := r.poll(); api.last() != "|" || got.Verdict == Failed {
				t.Errorf("%s: asked with %s", got.Verdict, api.last())
			}
		})
	}
}
