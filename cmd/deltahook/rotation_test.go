package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// rotating gives access tokens that are good for one request, each with a new refresh token; the old one is void then, and its use
// revokes everything.
type rotating struct {
	mu       sync.Mutex
	serial   int
	refresh  string // the one that is good
	access   string // the one that is good
	revoked  string // why everything is
	renewals int
	used     func(*http.Request) // told when an access token is used
}

func (s *rotating) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if q.URL.Path == "/token" {
		s.token(w, q)
		return
	}
	s.mu.Lock()
	ok := s.access != "" && q.Header.Get("Authorization") == "Bearer "+s.access
	s.access = ""
	used := s.used
	s.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if used != nil {
		used(q)
	}
	fmt.Fprintf(w, `[{"id":1,"time":%q}]`, time.Now())
}

func (s *rotating) token(w http.ResponseWriter, q *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := q.ParseForm(); err != nil || s.revoked != "" || q.PostForm.Get("refresh_token") != s.refresh {
		if s.revoked == "" {
			s.revoked = fmt.Sprintf("renewal %d came with an old token", s.renewals)
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	s.serial++
	s.renewals++
	s.refresh, s.access = fmt.Sprintf("refresh-planted-%d", s.serial), fmt.Sprintf("access-planted-%d", s.serial)
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": s.access, "refresh_token": s.refresh, "token_type": "Bearer", "expires_in": 3600})
}

// The process is killed between the durable save of a refresh token and the answer to the first request with the new access token, as
// often as -kills says. A lost refresh token would be replaced by an older one, and that revokes everything.
func TestT18KilledBetweenRenewalAndUseItNeverLosesARefreshToken(t *testing.T) {
	t.Parallel()
	binary, server := buildBinary(t), &rotating{refresh: "refresh-planted-seed"}
	api := httptest.NewServer(server)
	defer api.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "deltahook.toml")
	writeFile(t, filepath.Join(dir, "seed"), "refresh-planted-seed")
	writeFile(t, config, fmt.Sprintf(`
[source.things]
url = %q
every = "1s"
key = "id"
[source.things.auth]
kind = "oauth2"
grant = "refresh_token"
token_url = "%s/token"
client_id = "me"
refresh_token = "file:%s/seed"
[store]
url = "sqlite:%s/deltahook.db"
[admin]
listen = "127.0.0.1:%s"
`, api.URL, api.URL, dir, dir, freePort(t)))
	rounds := min(*kills, 10)
	for range rounds {
		used := make(chan struct{}, 100)
		server.mu.Lock()
		server.used = func(q *http.Request) { used <- struct{}{}; <-q.Context().Done() } // the answer never comes: the client has died
		server.mu.Unlock()
		stop := startDaemon(t, binary, config)
		select {
		case <-used:
		case <-time.After(2 * time.Minute):
			stop(os.Interrupt)
			t.Fatalf("no access token was used; revoked: %q", server.revoked)
		}
		stop(os.Kill)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.revoked != "" || server.renewals < rounds {
		t.Errorf("revoked: %q, %d renewals in %d lives", server.revoked, server.renewals, rounds)
	}
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"events"}, {"config", "show"}} {
		out, err := exec.CommandContext(t.Context(), binary, append(args, "--config", config)...).CombinedOutput()
		if err != nil || strings.Contains(string(out), "planted") {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), binary, "try", "things", "--config", config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "not used for a trial") || server.renewals > rounds+1 {
		t.Errorf("try: %v\n%s", err, out)
	}
}
