package poller

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/deltahook/deltahook/internal/auth"
)

// memVault is a Vault in memory.
type memVault struct {
	mu     sync.Mutex
	values map[string][]byte
	lost   bool // somebody else has the lease
}

func (v *memVault) Kept(_ context.Context, source, name string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.lost {
		return nil, ErrFenced
	}
	return v.values[source+"/"+name], nil
}

func (v *memVault) Keep(_ context.Context, source, name string, old, value []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch found := v.values[source+"/"+name]; {
	case v.lost:
		return ErrFenced
	case !bytes.Equal(found, old):
		return ErrConflict
	case v.values == nil:
		v.values = map[string][]byte{}
	}
	v.values[source+"/"+name] = value
	return nil
}

// rotator is an API whose tokens are good for one request, and whose refresh tokens are good once; the use of an old one revokes all.
type rotator struct {
	good    string // the refresh token that is
	issued  int
	access  string
	revoked bool
}

func (s *rotator) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path == "/token" {
		if err := q.ParseForm(); err != nil || s.revoked || q.PostForm.Get("refresh_token") != s.good {
			s.revoked = true
			reply(400, "application/json", `{"error":"invalid_grant","error_description":"what is `+q.PostForm.Get("refresh_token")+`?"}`)(w, q)
			return
		}
		s.issued++
		s.good, s.access = fmt.Sprintf("rotated-planted-%d", s.issued), fmt.Sprintf("access-planted-%d", s.issued)
		reply(200, "application/json", fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"expires_in":3600}`, s.access, s.good))(w, q)
		return
	}
	if s.access == "" || q.Header.Get("Authorization") != "Bearer "+s.access {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.access = ""
	page := q.URL.Query().Get("page")
	reply(200, "application/json", map[string]string{"1": `[{"id":1}]`, "2": `[{"id":2}]`, "3": `[]`}[page])(w, q)
}

func rotatingRig(t *testing.T, server *rotator) *rig {
	t.Helper()
	r := newRig(t, server.ServeHTTP, func(s *Source) {
		s.Pages.Kind = "page"
		s.Auth.Kind, s.Auth.Grant, s.Auth.ClientID, s.Auth.RefreshToken = auth.KindOAuth2, auth.GrantRefresh, "me", secretRef("env:TOKEN")
		s.Auth.TokenURL = strings.TrimSuffix(s.URL, "/contacts") + "/token"
	})
	if problems := r.source.Validate(r.opts.Secrets); len(problems) > 0 {
		t.Fatal(problems)
	}
	return r
}

func TestT18ARefreshTokenThatIsReplacedWithEachUseLastsThroughWalksAndRestarts(t *testing.T) {
	server := &rotator{good: "tok-planted-secret"}
	r := rotatingRig(t, server)
	r.opts.Vault = &memVault{}
	for range 3 {
		r.restart()
		if got := r.poll(); got.Verdict != Complete && got.Verdict != Unchanged {
			t.Fatalf("%s: %s (%s)", got.Verdict, got.Message, got.Hint)
		}
	}
	if server.revoked || server.issued != 9 {
		t.Errorf("revoked %t after %d tokens", server.revoked, server.issued)
	}
}

func TestWhoeverHasLostTheLeaseUsesNoRefreshToken(t *testing.T) {
	server := &rotator{good: "tok-planted-secret"}
	r := rotatingRig(t, server)
	r.opts.Vault = &memVault{lost: true}
	r.restart()
	got := r.want(Failed)
	if server.issued != 0 || server.revoked || strings.Contains(got.Message+got.Hint, "planted") || !strings.Contains(got.Message, "refresh token") {
		t.Errorf("%d tokens; %s (%s)", server.issued, got.Message, got.Hint)
	}
}

func TestATrialUsesNoRefreshToken(t *testing.T) {
	server := &rotator{good: "tok-planted-secret"}
	r := rotatingRig(t, server)
	r.restart()
	got := r.want(Failed)
	if server.issued != 0 || server.revoked || !strings.Contains(got.Message, "not used for a trial") || !strings.Contains(got.Hint, "deltahook run") {
		t.Errorf("%d tokens; %s (%s)", server.issued, got.Message, got.Hint)
	}
}

func TestWhatARevokedRefreshTokenMeansIsSaidWithoutIt(t *testing.T) {
	server := &rotator{good: "another"}
	r := rotatingRig(t, server)
	r.opts.Vault = &memVault{}
	r.restart()
	got := r.want(Failed)
	if strings.Contains(got.Message+got.Hint, "planted") || !strings.Contains(got.Message, "invalid_grant") || !strings.Contains(got.Hint, "authorize again") {
		t.Errorf("%s (%s)", got.Message, got.Hint)
	}
}
