package emitter_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/setting"
)

// tokens is a token endpoint that counts, and a gateway that knows which tokens are valid.
type tokens struct {
	mu     sync.Mutex
	made   int
	asked  []string // the credentials of each request
	refuse int      // answer with this status instead
	from   int      // the first one that is valid
}

func (k *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = r.ParseForm()
	user, password, _ := r.BasicAuth()
	k.asked = append(k.asked, user+" "+password+" "+r.PostForm.Get("grant_type")+" "+r.PostForm.Get("scope"))
	if k.refuse != 0 {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(k.refuse)
		return
	}
	k.made++
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"access_token":"token-number-` + strconv.Itoa(k.made) + `","token_type":"bearer","expires_in":3600}`))
}

// counts gives how many tokens were asked for, and how many were given.
func (k *tokens) counts() (asked, made int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.asked), k.made
}

// set changes it while it runs.
func (k *tokens) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// gate lets requests with a valid token through to the receiver.
func (k *tokens) gate(w http.ResponseWriter, r *http.Request, _ int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	n, err := strconv.Atoi(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer token-number-"))
	if err == nil && n >= k.from && n <= k.made && n > 0 {
		return false
	}
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

func oauthRig(t *testing.T) (*rig, *tokens) {
	t.Helper()
	k := &tokens{}
	server, err := hooktest.Serve(t.Context(), "127.0.0.1:0", k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r := newRig(t)
	r.webhook.Auth = emitter.Auth{
		Kind: "oauth2", TokenURL: server.URL + "/token", ClientID: "deltahook", ClientSecret: setting.NewSecret("client-secret"), Scopes: []string{"hooks"},
	}
	r.Set(k.gate)
	return r, k
}

func TestAWebhookProvesWhoSends(t *testing.T) {
	tests := []struct {
		auth         emitter.Auth
		header, want string
	}{
		{emitter.Auth{Kind: "basic", Username: "ann", Password: setting.NewSecret("pass-word")}, "Authorization", "Basic YW5uOnBhc3Mtd29yZA=="},
		{emitter.Auth{Kind: "bearer", Token: setting.NewSecret("the-token")}, "Authorization", "Bearer the-token"},
		{emitter.Auth{Kind: "header", Header: "X-Api-Key", Token: setting.NewSecret("the-token"), Prefix: "Key "}, "X-Api-Key", "Key the-token"},
		{emitter.Auth{Kind: "none"}, "Authorization", ""},
	}
	for _, tt := range tests {
		r := newRig(t)
		r.webhook.Auth = tt.auth
		if o := r.send(t); o.Class != emitter.Delivered || r.Requests()[0].Header.Get(tt.header) != tt.want {
			t.Errorf("%s: %+v with %q", tt.auth.Kind, o, r.Requests()[0].Header.Get(tt.header))
		}
		r.Set(hooktest.Answer(403, "I got "+tt.want))
		if o := r.send(t); o.Class != emitter.Failed || strings.Contains(o.Excerpt+o.Error, "the-token") || strings.Contains(o.Excerpt, "YW5u") {
			t.Errorf("%s: the history shows the credentials: %+v", tt.auth.Kind, o)
		}
	}
}

func TestATokenIsFetchedOnceAndRenewedOnceWhenItIsRefused(t *testing.T) {
	r, k := oauthRig(t)
	s := r.sender(t)
	for n := range int64(5) {
		if o := s.Send(t.Context(), delivery(n+1, "k")); o.Class != emitter.Delivered {
			t.Fatalf("outcome %+v", o)
		}
	}
	k.set(func() {
		if len(k.asked) != 1 || k.asked[0] != "deltahook client-secret client_credentials hooks" || r.Count() != 5 {
			t.Fatalf("token requests %q, %d deliveries", k.asked, r.Count())
		}
	})
	k.set(func() { k.from = 2 })
	o := s.Send(t.Context(), delivery(6, "k"))
	if _, made := k.counts(); o.Class != emitter.Delivered || made != 2 || r.Count() != 7 {
		t.Errorf("a revoked token: %+v, %d tokens, %d requests", o, made, r.Count())
	}
	if second := r.Requests()[6]; len(r.Problems()) != 0 || second.Header.Get("Deltahook-Attempt") != "1" {
		t.Errorf("the second request is another attempt: %+v, %v", second.Header, r.Problems())
	}
	k.set(func() { k.from = 99 }) // nothing helps
	if o := s.Send(t.Context(), delivery(7, "k")); o.Class != emitter.Failed || o.Status != 401 || r.Count() > 9 {
		t.Errorf("no token helps: %+v, %d requests", o, r.Count())
	}
}

// Of many attempts that find the token refused, one renews it.
func TestManyAttemptsShareOneToken(t *testing.T) {
	r, k := oauthRig(t)
	s := r.sender(t)
	var wg sync.WaitGroup
	for n := range int64(8) {
		wg.Go(func() {
			if o := s.Send(t.Context(), delivery(n+1, strconv.FormatInt(n, 10))); o.Class != emitter.Delivered {
				t.Errorf("outcome %+v", o)
			}
		})
	}
	wg.Wait()
	if _, made := k.counts(); made != 1 {
		t.Errorf("%d tokens for 8 attempts", made)
	}
}

func TestWithoutATokenNothingIsSentAndTheReasonIsTheTokenEndpoints(t *testing.T) {
	r, k := oauthRig(t)
	for _, status := range []int{400, 401, 500, 503} {
		k.set(func() { k.refuse = status })
		o := r.send(t)
		if o.Class != emitter.Withheld || o.Reason != emitter.ReasonAuth || !strings.Contains(o.Error, "token endpoint") || strings.Contains(o.Error, "client-secret") {
			t.Errorf("%d: %+v", status, o)
		}
		if status >= 500 && (o.RetryAfter < 25*time.Second || o.RetryAfter > 31*time.Second) {
			t.Errorf("%d: Retry-After of the token endpoint became %s", status, o.RetryAfter)
		}
	}
	if r.Count() != 0 {
		t.Errorf("%d requests without a token", r.Count())
	}
}

func TestAGoneCredentialIsTheWebhooksFault(t *testing.T) {
	r := newRig(t)
	r.webhook.Auth = emitter.Auth{Kind: "bearer", Token: setting.NewSecret("env:NOWHERE")}
	if o := r.send(t); o.Class != emitter.Withheld || o.Reason != emitter.ReasonAuth || !strings.Contains(o.Error, "env:NOWHERE is not set") || r.Count() != 0 {
		t.Errorf("outcome %+v", o)
	}
}

func TestAHandshakeProvesWhoAsks(t *testing.T) {
	r := newRig(t)
	r.webhook.Auth = emitter.Auth{Kind: "bearer", Token: setting.NewSecret("the-token")}
	r.webhook.Handshake = emitter.Handshake{Kind: "cloudevents", Origin: "deltahook.example", Every: setting.Duration(time.Hour)}
	r.Set(agreeing(200, "WebHook-Allowed-Origin", "*"))
	if o := r.send(t); o.Class != emitter.Delivered || r.Requests()[0].Header.Get("Authorization") != "Bearer the-token" {
		t.Errorf("the handshake went without the proof: %+v", o)
	}
}
