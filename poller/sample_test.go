package poller

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

func TestASampleIsTheWholeAnswerWithItsCredentials(t *testing.T) {
	var asked *http.Request
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		asked = q
		w.Header().Set("Link", `</contacts?page=2>; rel="next"`)
		reply(200, "text/csv", "id;name\n1;Zo\xeb\n")(w, q)
	}, func(s *Source) { s.Headers = map[string]string{"X-Api-Key": "{secret:env:TOKEN}"} })
	s, err := TakeSample(t.Context(), r.source, r.opts)
	if err != nil {
		t.Fatal(err)
	}
	if s.Status != 200 || string(s.Body) != "id;name\n1;Zo\xeb\n" || s.Header.Get("Link") == "" || s.URL.Path != "/contacts" {
		t.Errorf("sample %+v", s)
	}
	if asked.Header.Get("X-Api-Key") != "tok-planted-secret" {
		t.Error("the credentials were not sent")
	}
}

func TestASampleThatIsNoPageSaysWhy(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="crm"`)
		reply(401, "application/json", `{"error":"no token tok-planted-secret"}`)(w, q)
	}, func(s *Source) { s.Headers = map[string]string{"X-Api-Key": "{secret:env:TOKEN}"} })
	s, err := TakeSample(t.Context(), r.source, r.opts)
	if err == nil || s == nil || s.Status != 401 || s.Header.Get("WWW-Authenticate") == "" {
		t.Fatalf("sample %+v, %v", s, err)
	}
	if !strings.Contains(err.Error(), "answered 401") || strings.Contains(err.Error(), "planted") || !strings.HasPrefix(setting.Hint(err), "check auth") || strings.Contains(setting.Hint(err), "nothing was changed") {
		t.Errorf("error %q, hint %q", err, setting.Hint(err))
	}
	r.source.Response.MaxBody = 4
	if _, err := TakeSample(t.Context(), r.source, r.opts); err == nil {
		t.Error("a large answer was read")
	}
}

// A multi-status answer (RFC 4918) is how WebDAV, CalDAV and CardDAV send their lists.
func TestAMultiStatusAnswerIsAListing(t *testing.T) {
	r := newRig(t, reply(207, "application/xml", `<multistatus xmlns="DAV:"><response><href>/a</href></response></multistatus>`), func(s *Source) {
		s.Method, s.Response.Format = "PROPFIND", "xml"
		s.Key[0] = differ.MustPath("href")
		s.Records = differ.MustPath("multistatus.response")
	})
	r.want(Complete)
}

func TestAListThatGoesOnBehindTheLastAllowedPageSaysSo(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		page := q.URL.Query().Get("page")
		reply(200, "application/json", `[{"id":"`+page+`"}]`)(w, q)
	}, func(s *Source) { s.Pages = Pages{Kind: "page", Max: 2} })
	if res := r.poller.Poll(t.Context(), Occasion{}); !errors.Is(res.Err, ErrMorePages) {
		t.Errorf("error %v", res.Err)
	}
}
