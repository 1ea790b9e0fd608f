package poller

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/auth"
)

// tokens is an API with paging whose tokens are good for a number of requests, and the server that gives them.
type tokens struct {
	t      *testing.T
	life   int64 // requests that a token is good for
	issued atomic.Int64
	used   atomic.Int64
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path == "/token" {
		user, password, _ := q.BasicAuth()
		if err := q.ParseForm(); err != nil || q.PostForm.Get("grant_type") != "client_credentials" || user != "me" || password != "tok-planted-secret" {
			http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			return
		}
		s.used.Store(0)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprintf("access-%d", s.issued.Add(1)), "token_type": "Bearer", "expires_in": 3600})
		return
	}
	if q.Header.Get("Authorization") != fmt.Sprintf("Bearer access-%d", s.issued.Load()) || s.used.Add(1) > s.life {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	page := q.URL.Query().Get("page")
	ids := map[string]string{"1": `{"id":"1"},{"id":"2"}`, "2": `{"id":"3"},{"id":"4"}`, "3": `{"id":"5"}`}[page]
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"items":[%s],"total":5}`, ids)
}

func (s *tokens) source(c *Source) {
	c.Records, c.Pages.Kind, c.Pages.Total = differ.MustPath("items"), "page", differ.MustPath("total")
	c.Auth.Kind, c.Auth.ClientID, c.Auth.ClientSecret = auth.KindOAuth2, "me", secretRef("env:TOKEN")
}

func TestT18ATokenThatExpiresDuringAWalkIsRenewedOnceAndTheWalkGoesOn(t *testing.T) {
	server := &tokens{t: t, life: 2}
	r := newRig(t, server.ServeHTTP, func(s *Source) {
		server.source(s)
		s.Auth.TokenURL = strings.TrimSuffix(s.URL, "/contacts") + "/token"
	})
	got := r.want(Complete)
	if got.Records != 5 || server.issued.Load() != 2 {
		t.Errorf("%d records with %d tokens, want 5 with 2", got.Records, server.issued.Load())
	}
}

func TestATokenThatIsNeverAcceptedIsRenewedOnceAndThenAnError(t *testing.T) {
	server := &tokens{t: t, life: 0}
	r := newRig(t, server.ServeHTTP, func(s *Source) {
		server.source(s)
		s.Auth.TokenURL = strings.TrimSuffix(s.URL, "/contacts") + "/token"
	})
	r.untouched(func() {
		got := r.want(Failed)
		if server.issued.Load() > 2 || strings.Contains(got.Message+got.Hint, "access-") || strings.Contains(got.Message+got.Hint, "planted") {
			t.Errorf("%d tokens; message %q, hint %q", server.issued.Load(), got.Message, got.Hint)
		}
	})
}

func TestASessionThatExpiresInsideA200IsOpenedAgain(t *testing.T) {
	var logins, used atomic.Int64
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if q.URL.Path == "/login" {
			var body struct {
				Password string `json:"password"`
			}
			if err := json.NewDecoder(q.Body).Decode(&body); err != nil || body.Password != "pass/planted secret+" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			used.Store(0)
			http.SetCookie(w, &http.Cookie{Name: "sid", Value: fmt.Sprint("session-", logins.Add(1)), Path: "/"})
			return
		}
		cookie, err := q.Cookie("sid")
		if err != nil || cookie.Value != fmt.Sprint("session-", logins.Load()) || used.Add(1) > 1 {
			_, _ = w.Write([]byte(`{"error":"not logged in"}`))
			return
		}
		_, _ = w.Write([]byte(`{"items":[{"id":"1"}]}`))
	}, func(s *Source) {
		expired, err := differ.ParseCondition(`error == "not logged in"`)
		if err != nil {
			t.Fatal(err)
		}
		s.Records = differ.MustPath("items")
		s.Auth.Kind, s.Auth.URL = auth.KindLogin, strings.TrimSuffix(s.URL, "/contacts")+"/login"
		s.Auth.Headers = map[string]string{"Content-Type": "application/json"}
		s.Auth.Body = `{"user":"ann","password":"{secret:env:PASSWORD}"}`
		s.Auth.Expired = expired
	})
	r.want(Complete)
	r.want(Unchanged)
	r.want(Unchanged)
	if logins.Load() != 3 {
		t.Errorf("%d logins for three polls of one request each, want 3", logins.Load())
	}
}

func TestAQueryKeyGoesToTheOriginAndIntoNoMessage(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Query().Get("api_key") != "tok-planted-secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		reply(500, "text/plain", "oops for key tok-planted-secret")(w, q)
	}, func(s *Source) {
		s.Auth.Kind, s.Auth.Param, s.Auth.Token = auth.KindQuery, "api_key", secretRef("env:TOKEN")
	})
	if got := r.want(Failed); strings.Contains(got.Message+got.Hint, "planted") || !strings.Contains(got.Message, "500") {
		t.Errorf("message %q, hint %q", got.Message, got.Hint)
	}
}
