package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// provider is an OAuth2 server and the API behind it: it hands out tokens, forgets them and rotates refresh tokens.
type provider struct {
	mu       sync.Mutex
	issued   int
	valid    map[string]bool // access tokens
	family   map[string]bool // refresh tokens: true for the newest, false for those that were used
	asked    []url.Values    // token requests
	clients  []string        // how each of them was authorized
	revoked  bool            // a used refresh token came again
	refuse   func(w http.ResponseWriter, form url.Values) bool
	lifetime any // of expires_in; nil: not said
	grants   string
}

const clientSecret = "client&secret+1"

func newProvider() *provider {
	return &provider{valid: map[string]bool{}, family: map[string]bool{"refresh-seed": true}, grants: "client_credentials"}
}

// token is the token endpoint.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	p.asked, p.clients = append(p.asked, r.PostForm), append(p.clients, r.Header.Get("Authorization"))
	if p.refuse != nil && p.refuse(w, r.PostForm) {
		return
	}
	if !p.client(r) {
		p.error(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	answer := map[string]any{"token_type": "bearer"}
	switch grant := r.PostForm.Get("grant_type"); {
	case grant == "refresh_token":
		newest, known := p.family[r.PostForm.Get("refresh_token")]
		if known && !newest { // somebody uses an old one: it was stolen
			p.family, p.valid, p.revoked = map[string]bool{}, map[string]bool{}, true
		}
		if !newest || p.revoked {
			p.error(w, http.StatusBadRequest, "invalid_grant")
			return
		}
		p.family[r.PostForm.Get("refresh_token")] = false
		next := fmt.Sprintf("refresh-%d", p.issued+1)
		p.family[next] = true
		answer["refresh_token"] = next
	case grant == "password" && (r.PostForm.Get("username") != "ann" || r.PostForm.Get("password") != "pass&word/1"):
		p.error(w, http.StatusBadRequest, "invalid_grant")
		return
	case !strings.Contains(p.grants, grant):
		p.error(w, http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	p.issued++
	access := fmt.Sprintf("access-token-%d", p.issued)
	p.valid[access] = true
	answer["access_token"] = access
	if p.lifetime != nil {
		answer["expires_in"] = p.lifetime
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// client says whether the request comes from the one client that is known.
func (p *provider) client(r *http.Request) bool {
	id, secret, ok := r.BasicAuth()
	if ok {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	return id == "my client" && secret == clientSecret
}

func (p *provider) error(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "because of " + clientSecret})
}

// api is the guarded API.
func (p *provider) api(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !ok || !p.valid[token] {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (p *provider) revokeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.valid)
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

// last gives the last token request and how the client proved who it is.
func (p *provider) last() (form url.Values, authorization string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[len(p.asked)-1], p.clients[len(p.clients)-1]
}

func (p *provider) start(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/token", p.token)
	mux.HandleFunc("/", p.api)
	return serve(t, mux).URL
}

func clientConfig(origin string) Config {
	return Config{Kind: KindOAuth2, TokenURL: origin + "/token", ClientID: "my client", ClientSecret: env("CLIENT_SECRET")}
}

func oauthVault() *vault {
	return newVault("CLIENT_SECRET", clientSecret, "PASSWORD", "pass&word/1", "REFRESH", "refresh-seed")
}

func TestClientCredentialsAreExchangedForATokenThatIsKept(t *testing.T) {
	p := newProvider()
	origin := p.start(t)
	config := clientConfig(origin)
	config.Scopes, config.Audience, config.Params = []string{"read", "list"}, "https://api", map[string]string{"resource": "r/1"}
	c := newClient(t, config, origin, Options{Secrets: oauthVault().secrets(), UserAgent: "deltahook/test"})
	for range 3 {
		c.ok(t, origin+"/list")
	}
	if p.count() != 1 {
		t.Fatalf("%d token requests", p.count())
	}
	form, authorization := p.last()
	want := url.Values{"grant_type": {"client_credentials"}, "scope": {"read list"}, "audience": {"https://api"}, "resource": {"r/1"}}
	if form.Encode() != want.Encode() || !strings.HasPrefix(authorization, "Basic ") {
		t.Errorf("form %v, authorization %q", form, authorization)
	}
}

func TestTheStyleOfAClientIsFoundOutOnceOrConfigured(t *testing.T) {
	for _, test := range []struct {
		style    string
		only     string // the one that the server takes
		requests int
	}{
		{"", "header", 1}, {"", "body", 2}, {"auto", "body", 2}, {"body", "body", 1}, {"header", "header", 1},
	} {
		p := newProvider()
		p.refuse = func(w http.ResponseWriter, form url.Values) bool {
			if inBody := form.Has("client_secret"); inBody == (test.only == "body") {
				return false
			}
			p.error(w, http.StatusUnauthorized, "invalid_client")
			return true
		}
		origin := p.start(t)
		config := clientConfig(origin)
		config.AuthStyle = test.style
		c := newClient(t, config, origin, Options{Secrets: oauthVault().secrets()})
		c.ok(t, origin)
		if p.count() != test.requests {
			t.Errorf("%+v: %d token requests", test, p.count())
		}
		p.revokeAll()
		c.ok(t, origin)
		if p.count() != test.requests+1 {
			t.Errorf("%+v: the renewal took %d token requests", test, p.count()-test.requests)
		}
	}
}

func TestAWrongClientSecretIsNotTriedTwiceInTheSameStyle(t *testing.T) {
	p := newProvider()
	origin := p.start(t)
	v := oauthVault()
	v.set("CLIENT_SECRET", "wrong-secret")
	c := newClient(t, clientConfig(origin), origin, Options{Secrets: v.secrets()})
	e := c.fails(t, origin)
	if p.count() != 2 { // header and body
		t.Errorf("%d token requests", p.count())
	}
	if e.Reason != ReasonToken || !strings.Contains(e.Message, "invalid_client") || !strings.Contains(e.Hint, "auth.client_secret") ||
		!strings.Contains(e.Message, strings.TrimPrefix(origin, "http://")) {
		t.Errorf("%+v", e)
	}
	quiet(t, e, "wrong-secret")
}

func TestThePasswordGrant(t *testing.T) {
	p := newProvider()
	p.grants = "password"
	origin := p.start(t)
	config := clientConfig(origin)
	config.Grant, config.Username, config.Password = "password", "ann", env("PASSWORD")
	v := oauthVault()
	c := newClient(t, config, origin, Options{Secrets: v.secrets()})
	c.ok(t, origin)
	v.set("PASSWORD", "other-password")
	p.revokeAll()
	e := c.fails(t, origin)
	if !strings.Contains(e.Hint, "auth.password") {
		t.Errorf("%v; %s", e, e.Hint)
	}
	quiet(t, e, "other-password", "pass&word/1", clientSecret)
}

func TestAPublicClientSendsItsNameOnly(t *testing.T) {
	p := newProvider()
	p.refuse = func(w http.ResponseWriter, form url.Values) bool {
		if form.Get("client_id") != "my client" || form.Has("client_secret") {
			return false
		}
		_, _ = w.Write([]byte(`{"access_token":"public-token"}`))
		p.valid["public-token"] = true
		return true
	}
	origin := p.start(t)
	config := Config{
		Kind: KindOAuth2, Grant: "password", TokenURL: origin + "/token", ClientID: "my client", Username: "ann", Password: env("PASSWORD"),
	}
	newClient(t, config, origin, Options{Secrets: oauthVault().secrets()}).ok(t, origin)
}

func TestATokenIsRenewedBeforeItExpires(t *testing.T) {
	p, now := newProvider(), newClock()
	p.lifetime = 3600
	origin := p.start(t)
	c := newClient(t, clientConfig(origin), origin, Options{Secrets: oauthVault().secrets(), Now: now.now})
	c.ok(t, origin)
	now.pass(time.Hour - 31*time.Second)
	c.ok(t, origin)
	if p.count() != 1 {
		t.Errorf("renewed too early: %d token requests", p.count())
	}
	now.pass(2 * time.Second)
	if g := c.ok(t, origin); g.tries != 1 || p.count() != 2 {
		t.Errorf("%d tries, %d token requests", g.tries, p.count())
	}
}

func TestATokenWithoutAnEndIsRenewedWhenItIsRefusedAndAfterDefaultTTL(t *testing.T) {
	p, now := newProvider(), newClock()
	origin := p.start(t)
	config := clientConfig(origin)
	config.DefaultTTL = setting.Duration(20 * time.Minute)
	c := newClient(t, config, origin, Options{Secrets: oauthVault().secrets(), Now: now.now})
	c.ok(t, origin)
	p.revokeAll()
	if g := c.ok(t, origin); g.tries != 2 || p.count() != 2 {
		t.Errorf("after revocation: %d tries, %d token requests", g.tries, p.count())
	}
	now.pass(20 * time.Minute)
	if g := c.ok(t, origin); g.tries != 1 || p.count() != 3 {
		t.Errorf("after default_ttl: %d tries, %d token requests", g.tries, p.count())
	}
}

// A token may be revoked again and again in the middle of a long walk; each page gets through.
func TestATokenThatExpiresDuringAWalkIsRenewedEachTime(t *testing.T) {
	p := newProvider()
	origin := p.start(t)
	c := newClient(t, clientConfig(origin), origin, Options{Secrets: oauthVault().secrets()})
	for page := range 40 {
		if page%10 == 9 {
			p.revokeAll()
		}
		c.ok(t, origin+"/list?page="+strconv.Itoa(page))
	}
	if p.count() != 5 {
		t.Errorf("%d token requests for 4 revocations", p.count())
	}
}

func TestOneRefusalIsFollowedByOneRenewal(t *testing.T) {
	p := newProvider()
	var asked atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/token", p.token)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 { // the token is not known everywhere yet
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		p.api(w, r)
	})
	s := serve(t, mux)
	c := newClient(t, clientConfig(s.URL), s.URL, Options{Secrets: oauthVault().secrets()})
	if g := c.ok(t, s.URL); g.tries != 2 || p.count() != 2 {
		t.Errorf("%d tries, %d token requests", g.tries, p.count())
	}
}

func TestAServerThatRefusesEachTokenCausesOneRenewalAndThenAnError(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		p, now := newProvider(), newClock()
		mux := http.NewServeMux()
		mux.HandleFunc("/token", p.token)
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		s := serve(t, mux)
		c := newClient(t, clientConfig(s.URL), s.URL, Options{Secrets: oauthVault().secrets(), Now: now.now})
		e := c.fails(t, s.URL)
		if e.Reason != ReasonRefused || e.Status != status || e.Hint == "" || p.count() != 2 {
			t.Errorf("%d: %v, %d token requests", status, e, p.count())
		}
		for range 50 { // more records, more polls
			_ = c.fails(t, s.URL)
		}
		if p.count() != 2 {
			t.Errorf("%d: a storm of %d token requests", status, p.count())
		}
		now.pass(61 * time.Second)
		_ = c.fails(t, s.URL)
		_ = c.fails(t, s.URL)
		if p.count() != 3 {
			t.Errorf("%d: after a minute %d token requests", status, p.count())
		}
		now.pass(61 * time.Second) // the pause has doubled
		_ = c.fails(t, s.URL)
		if p.count() != 3 {
			t.Errorf("%d: the pause did not double: %d token requests", status, p.count())
		}
	}
}

// A walk fetches details; some of them are forbidden. That must neither cause a stream of tokens nor keep an expired one.
func TestForbiddenAddressesDoNotCauseAStreamOfTokens(t *testing.T) {
	p, now := newProvider(), newClock()
	mux := http.NewServeMux()
	mux.HandleFunc("/token", p.token)
	mux.HandleFunc("/", p.api)
	mux.HandleFunc("/secret", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	s := serve(t, mux)
	c := newClient(t, clientConfig(s.URL), s.URL, Options{Secrets: oauthVault().secrets(), Now: now.now})
	for range 30 {
		c.ok(t, s.URL+"/open")
		_ = c.fails(t, s.URL+"/secret")
	}
	if p.count() != 2 {
		t.Errorf("%d token requests", p.count())
	}
	p.revokeAll()
	if g := c.ok(t, s.URL+"/open"); g.tries != 2 || p.count() != 3 {
		t.Errorf("an expired token: %d tries, %d token requests", g.tries, p.count())
	}
}

func TestRequestsAtTheSameTimeFetchAndRenewOneToken(t *testing.T) {
	p := newProvider()
	origin := p.start(t)
	c := newClient(t, clientConfig(origin), origin, Options{Secrets: oauthVault().secrets()})
	all := func() {
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				if g, err := c.get(t, origin+"/"+strconv.Itoa(i)); err != nil || g.status != http.StatusOK {
					t.Errorf("%+v, %v", g, err)
				}
			})
		}
		group.Wait()
	}
	all()
	if p.count() != 1 {
		t.Errorf("at the start %d token requests", p.count())
	}
	p.revokeAll()
	all()
	if p.count() != 2 {
		t.Errorf("after revocation %d token requests", p.count()-1)
	}
}

func TestAFailingTokenEndpointIsLeftAloneForLongerAndLonger(t *testing.T) {
	p, now := newProvider(), newClock()
	broken := true
	p.refuse = func(w http.ResponseWriter, _ url.Values) bool {
		if broken {
			w.WriteHeader(http.StatusBadGateway)
		}
		return broken
	}
	origin := p.start(t)
	c := newClient(t, clientConfig(origin), origin, Options{Secrets: oauthVault().secrets(), Now: now.now})
	var waits []time.Duration
	for len(waits) < 9 {
		e := c.fails(t, origin)
		if e.Reason != ReasonToken || e.Status != http.StatusBadGateway {
			t.Fatal(e)
		}
		waits = append(waits, e.Until.Sub(now.now()))
		before := p.count()
		now.pass(e.Until.Sub(now.now()) - time.Second)
		if e := c.fails(t, origin); p.count() != before || !strings.Contains(e.Message, "asked again in 1s") {
			t.Fatalf("asked although it had to be left alone: %v", e)
		}
		now.pass(time.Second)
	}
	if text := fmt.Sprint(waits); text != "[5s 10s 20s 40s 1m20s 2m40s 5m20s 10m0s 10m0s]" {
		t.Errorf("waits %s", text)
	}
	broken = false
	c.ok(t, origin)
	p.revokeAll()
	broken = true
	if e := c.fails(t, origin); e.Until.Sub(now.now()) != 5*time.Second {
		t.Errorf("a success did not reset the waits: %v", e.Until.Sub(now.now()))
	}
}

func TestTheRetryAfterOfATokenEndpointIsRespectedAndCapped(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"120": 2 * time.Minute, "1": 5 * time.Second, "99999999999": 24 * time.Hour, "Mon, 23 Nov 2026 12:10:00 GMT": 10 * time.Minute,
		"Mon, 23 Nov 2099 12:10:00 GMT": 24 * time.Hour, "soon": 5 * time.Second,
	} {
		p, now := newProvider(), newClock()
		p.refuse = func(w http.ResponseWriter, _ url.Values) bool {
			w.Header().Set("Retry-After", header)
			w.Header().Set("Date", "Mon, 23 Nov 2026 12:00:00 GMT")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		origin := p.start(t)
		c := newClient(t, clientConfig(origin), origin, Options{Secrets: oauthVault().secrets(), Now: now.now})
		if e := c.fails(t, origin); e.Until.Sub(now.now()) != want {
			t.Errorf("%s: left alone for %s, want %s", header, e.Until.Sub(now.now()), want)
		}
	}
}

func TestWrongCredentialsAreTriedSeldomUntilTheyChange(t *testing.T) {
	p, now := newProvider(), newClock()
	origin := p.start(t)
	v := oauthVault()
	v.set("CLIENT_SECRET", "wrong-secret")
	config := clientConfig(origin)
	config.AuthStyle = "header"
	c := newClient(t, config, origin, Options{Secrets: v.secrets(), Now: now.now})
	if e := c.fails(t, origin); e.Until.Sub(now.now()) != time.Minute {
		t.Errorf("left alone for %s", e.Until.Sub(now.now()))
	}
	now.pass(59 * time.Second)
	_ = c.fails(t, origin)
	if p.count() != 1 {
		t.Errorf("%d token requests", p.count())
	}
	v.set("CLIENT_SECRET", clientSecret)
	c.ok(t, origin)
}

func TestATokenServesUntilItsEndWhileTheEndpointFails(t *testing.T) {
	p, now := newProvider(), newClock()
	p.lifetime = 3600
	origin := p.start(t)
	c := newClient(t, clientConfig(origin), origin, Options{Secrets: oauthVault().secrets(), Now: now.now})
	c.ok(t, origin)
	p.mu.Lock()
	p.refuse = func(w http.ResponseWriter, _ url.Values) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	}
	p.mu.Unlock()
	now.pass(time.Hour - 10*time.Second)
	c.ok(t, origin)
	now.pass(11 * time.Second)
	if e := c.fails(t, origin); e.Reason != ReasonToken {
		t.Error(e)
	}
}

func TestACallerThatGivesUpIsNotAFailureOfTheEndpoint(t *testing.T) {
	p := newProvider()
	hang := make(chan struct{})
	p.refuse = func(http.ResponseWriter, url.Values) bool { <-hang; return false }
	origin := p.start(t)
	c := newClient(t, clientConfig(origin), origin, Options{Secrets: oauthVault().secrets()})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.ask(ctx, http.MethodGet, origin, ""); err == nil || ctx.Err() == nil {
		t.Errorf("got %v", err)
	}
	close(hang)
	c.ok(t, origin)
}

func TestATokenEndpointThatDoesNotAnswerIsGivenUp(t *testing.T) {
	s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is the end of the connection seen
		<-r.Context().Done()
	}))
	c := newClient(t, clientConfig(s.URL), s.URL, Options{Secrets: oauthVault().secrets(), Timeout: 50 * time.Millisecond})
	if e := c.fails(t, s.URL); e.Reason != ReasonToken || !strings.Contains(e.Message, "no answer within 50ms") {
		t.Error(e)
	}
}

func TestARedirectOfTheTokenEndpointIsNotFollowed(t *testing.T) {
	var leaked atomic.Bool
	thief := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Store(true) }))
	s := serve(t, http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	c := newClient(t, clientConfig(s.URL), s.URL, Options{Secrets: oauthVault().secrets()})
	if e := c.fails(t, s.URL); leaked.Load() || e.Status != http.StatusTemporaryRedirect {
		t.Errorf("leaked %v; %v", leaked.Load(), e)
	}
}

func TestATokenCanStandInAnyHeaderOrInTheQuery(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		pass   func(*http.Request) bool
	}{
		"header": {func(c *Config) { c.Header = "X-Access-Token" }, func(r *http.Request) bool { return r.Header.Get("X-Access-Token") == "tok/en+1" }},
		"prefix": {func(c *Config) { c.Prefix = "OAuth" }, func(r *http.Request) bool { return r.Header.Get("Authorization") == "OAuth tok/en+1" }},
		"param":  {func(c *Config) { c.Param = "access_token" }, func(r *http.Request) bool { return r.URL.Query().Get("access_token") == "tok/en+1" }},
	} {
		mux := http.NewServeMux()
		mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"access_token":"tok/en+1"}`)) })
		mux.HandleFunc("/", guarded(test.pass))
		s := serve(t, mux)
		config := clientConfig(s.URL)
		test.change(&config)
		secrets := oauthVault().secrets()
		newClient(t, config, s.URL, Options{Secrets: secrets}).ok(t, s.URL)
		if text := secrets.Redact("token tok/en+1, escaped tok%2Fen%2B1"); text != "token (secret), escaped (secret)" {
			t.Errorf("%s: %s", name, text)
		}
	}
}
