package auth

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// guarded answers 200 only to requests that pass.
func guarded(pass func(*http.Request) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !pass(r) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

func TestFixedCredentialsOpenAServerThatChecksThem(t *testing.T) {
	v := newVault("PASSWORD", "pa:ss word/1ö", "TOKEN", "s3cr&t+t0ken", "KEY", "key-as-user")
	for name, test := range map[string]struct {
		config Config
		pass   func(*http.Request) bool
	}{
		"basic": {Config{Kind: KindBasic, Username: "ann", Password: env("PASSWORD")}, func(r *http.Request) bool {
			user, password, ok := r.BasicAuth()
			return ok && user == "ann" && password == "pa:ss word/1ö"
		}},
		"basic with a key as user name": {Config{Kind: KindBasic, Token: env("KEY")}, func(r *http.Request) bool {
			user, password, ok := r.BasicAuth()
			return ok && user == "key-as-user" && password == ""
		}},
		"basic with a key and a password": {Config{Kind: KindBasic, Token: env("KEY"), Password: env("PASSWORD")}, func(r *http.Request) bool {
			user, password, ok := r.BasicAuth()
			return ok && user == "key-as-user" && password == "pa:ss word/1ö"
		}},
		"bearer": {Config{Kind: KindBearer, Token: env("TOKEN")}, func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "Bearer s3cr&t+t0ken"
		}},
		"header": {Config{Kind: KindHeader, Header: "x-api-key", Token: env("TOKEN")}, func(r *http.Request) bool {
			return r.Header.Get("X-Api-Key") == "s3cr&t+t0ken"
		}},
		"header with a word before": {Config{Kind: KindHeader, Header: "Authorization", Prefix: "ApiKey", Token: env("TOKEN")}, func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "ApiKey s3cr&t+t0ken"
		}},
		"header with a sign before": {Config{Kind: KindHeader, Header: "Authorization", Prefix: "Token token=", Token: env("TOKEN")}, func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "Token token=s3cr&t+t0ken"
		}},
		"query": {Config{Kind: KindQuery, Param: "key", Token: env("TOKEN")}, func(r *http.Request) bool {
			return r.URL.RawQuery == "a=1&ids=1,2&b=%2F&key=s3cr%26t%2Bt0ken"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, guarded(test.pass))
			c := newClient(t, test.config, s.URL, Options{Secrets: v.secrets()})
			if g := c.ok(t, s.URL+"/list?a=1&ids=1,2&key=old&b=%2F"); g.tries != 1 {
				t.Errorf("%d tries", g.tries)
			}
		})
	}
}

func TestKindNoneSendsNothingAndLetsRefusalsBe(t *testing.T) {
	s := serve(t, guarded(func(r *http.Request) bool { return r.Header.Get("Authorization") != "" }))
	for _, kind := range []string{"", KindNone} {
		a, err := New(&Config{Kind: kind}, Options{Origin: address(t, s.URL), Secrets: &setting.Secrets{}})
		if err != nil {
			t.Fatal(err)
		}
		c := &client{a: a, transport: a.Transport(http.DefaultTransport)}
		if g, err := c.get(t, s.URL); err != nil || g.status != http.StatusUnauthorized || g.tries != 1 {
			t.Errorf("%+v, %v", g, err)
		}
	}
}

func TestCredentialsAreShownToTheirOriginOnly(t *testing.T) {
	v := newVault("S", "not-for-others")
	for _, c := range []Config{
		{Kind: KindBasic, Username: "u", Password: env("S")},
		{Kind: KindBearer, Token: env("S")},
		{Kind: KindQuery, Param: "k", Token: env("S")},
		{Kind: KindDigest, Username: "u", Password: env("S")},
		{Kind: KindNTLM, Username: "u", Password: env("S")},
		{Kind: KindHMAC, Key: env("S"), Content: "{method}", Headers: map[string]string{"X-S": "{signature}"}},
		{Kind: KindOAuth2, TokenURL: "http://127.0.0.1:1/", ClientID: "c", ClientSecret: env("S")},
		{Kind: KindLogin, URL: "http://127.0.0.1:1/"},
	} {
		t.Run(c.Kind, func(t *testing.T) {
			asked := newClient(t, c, "https://api.example.com/list", Options{Secrets: v.secrets()})
			for _, other := range []string{
				"https://evil.example.com/", "http://api.example.com/", "https://api.example.com:8443/", "https://api.example.com.evil.example/",
			} {
				req := httptest.NewRequest(http.MethodGet, other, nil)
				before := req.URL.String()
				_, err := asked.a.Authorize(t.Context(), req)
				if err == nil || !strings.Contains(err.Error(), "api.example.com") || len(req.Header) > 0 || req.URL.String() != before {
					t.Errorf("%s: %v, %v", other, err, req.Header)
				}
			}
		})
	}
}

func TestTheSpellingOfAnOriginDoesNotMatter(t *testing.T) {
	c := newClient(t, Config{Kind: KindBearer, Token: env("S")}, "https://API.example.com/x", Options{Secrets: newVault("S", "secret-token").secrets()})
	req := httptest.NewRequest(http.MethodGet, "https://api.example.com:443/y", nil)
	if _, err := c.a.Authorize(t.Context(), req); err != nil || req.Header.Get("Authorization") != "Bearer secret-token" {
		t.Errorf("%v, %v", err, req.Header)
	}
}

func TestARefusedFixedCredentialIsAnErrorThatNamesItsPlace(t *testing.T) {
	s := serve(t, guarded(func(*http.Request) bool { return false }))
	c := newClient(t, Config{Kind: KindBearer, Token: env("TOKEN")}, s.URL, Options{Secrets: newVault("TOKEN", "wrong-token").secrets()})
	g, err := c.get(t, s.URL)
	if g.tries != 1 {
		t.Errorf("a token that did not change was tried %d times", g.tries)
	}
	if err == nil || !strings.Contains(err.Error(), "refused the credentials (401)") || !strings.Contains(setting.Hint(err), "auth.token (env:TOKEN)") {
		t.Errorf("%v; %s", err, setting.Hint(err))
	}
	quiet(t, err, "wrong-token")
}

func TestARotatedFileIsSeen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	then := time.Now().Add(-time.Hour)
	write := func(value string, keepTime bool) {
		t.Helper()
		if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if keepTime {
			if err := os.Chtimes(file, then, then); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("token-number-1", true)
	want := "token-number-1"
	s := serve(t, guarded(func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+want }))
	c := newClient(t, Config{Kind: KindBearer, Token: setting.NewSecret("file:" + file)}, s.URL, Options{})
	c.ok(t, s.URL)

	write("token-number-22", false)
	want = "token-number-22"
	if g := c.ok(t, s.URL); g.tries != 1 {
		t.Errorf("a file that changed visibly took %d tries", g.tries)
	}

	// The same length and time: only the refusal tells that the file must be read again.
	write("token-number-33", true)
	want = "token-number-33"
	c.ok(t, s.URL)
	write("token-number-44", true)
	want = "token-number-44"
	if g := c.ok(t, s.URL); g.tries != 2 {
		t.Errorf("%d tries", g.tries)
	}
	want = "something-else"
	if e := c.fails(t, s.URL); e.Reason != ReasonRefused {
		t.Error(e)
	}
}

func TestAQuotaIsNoRefusal(t *testing.T) {
	for name, header := range map[string][2]string{
		"Retry-After": {"Retry-After", "30"}, "nothing left": {"X-RateLimit-Remaining", "0"},
	} {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header[0], header[1])
			w.WriteHeader(http.StatusForbidden)
		}))
		c := newClient(t, Config{Kind: KindBearer, Token: env("T")}, s.URL, Options{Secrets: newVault("T", "some-token").secrets()})
		if g, err := c.get(t, s.URL); err != nil || g.status != http.StatusForbidden {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
}

func TestASecretThatCannotStandInAHeaderIsAnError(t *testing.T) {
	secrets := newVault("T", "two\nlines-of-it").secrets()
	c := newClient(t, Config{Kind: KindBearer, Token: env("T")}, "https://api.example.com", Options{Secrets: secrets})
	e := c.fails(t, "https://api.example.com/")
	quiet(t, e, "lines-of-it")
	if e.Reason != ReasonSecret {
		t.Error(e)
	}
}

func TestAnUnsetSecretIsAnErrorWithTheNextStep(t *testing.T) {
	v := newVault("T", "some-token")
	c := newClient(t, Config{Kind: KindBearer, Token: env("T")}, "https://api.example.com", Options{Secrets: v.secrets()})
	v.set("T", "")
	e := c.fails(t, "https://api.example.com/")
	if e.Reason != ReasonSecret || !strings.Contains(e.Message, "env:T") || !strings.Contains(setting.Hint(e), "export T") {
		t.Errorf("%v; %s", e, setting.Hint(e))
	}
}
