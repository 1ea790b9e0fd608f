package poller

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/auth"
)

// strict is an API of three pages that lets nobody in without a proof, and whose proofs run out with every page.
type strict struct {
	t       *testing.T
	rig     *rig
	proves  func(w http.ResponseWriter, q *http.Request, body string) bool // an answer that it writes itself says false, too
	expire  func()                                                         // after each page
	mint    func(w http.ResponseWriter, q *http.Request, body string)      // tokens and sessions, at /auth
	inside  bool                                                           // a refusal is a 200 that says so
	minted  int
	refused int
	pages   int
}

func (s *strict) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	raw, err := io.ReadAll(q.Body)
	if err != nil {
		s.t.Error(err)
	}
	body := string(raw)
	if q.URL.Path == "/auth" {
		s.minted++
		s.mint(w, q, body)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if !s.proves(w, q, body) {
		s.refused++
		if s.inside {
			fmt.Fprint(w, `{"error":"session expired"}`)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.pages++
	page := q.URL.Query().Get("page")
	ids := map[string]string{"1": `{"id":"1"},{"id":"2"}`, "2": `{"id":"3"},{"id":"4"}`, "3": `{"id":"5"}`}[page]
	fmt.Fprintf(w, `{"items":[%s],"total":5}`, ids)
	s.expire()
}

// rotate replaces a secret in a file by one of the same length, and keeps the time of the file: nothing tells.
func (s *strict) rotate(path string, n int) string {
	value := fmt.Sprintf("secret-planted-%03d", n)
	then := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chtimes(path, then, then); err != nil {
		s.t.Fatal(err)
	}
	return value
}

func TestT18EachKindOfProofIsRenewedWhenItRunsOutDuringAWalk(t *testing.T) {
	for name, set := range map[string]func(s *strict, c *Source){
		"basic":                     walkFixed(auth.KindBasic),
		"bearer":                    walkFixed(auth.KindBearer),
		"header":                    walkFixed(auth.KindHeader),
		"query":                     walkFixed(auth.KindQuery),
		"oauth2 client_credentials": walkOAuth2("client_credentials"),
		"oauth2 password":           walkOAuth2("password"),
		"oauth2 refresh_token":      walkOAuth2("refresh_token"),
		"oauth2 jwt_bearer":         walkOAuth2("jwt_bearer"),
		"digest":                    walkDigest,
		"login, cookie":             walkLogin(false, false),
		"login, token":              walkLogin(true, false),
		"login, token, in a 200":    walkLogin(true, true),
		"hmac":                      walkHMAC,
		"ntlm":                      walkNTLM,
	} {
		t.Run(name, func(t *testing.T) {
			s := &strict{t: t, expire: func() {}}
			r := newRig(t, s.ServeHTTP, func(c *Source) {
				c.Records, c.Pages.Kind, c.Pages.Total = differ.MustPath("items"), "page", differ.MustPath("total")
				set(s, c)
			})
			s.rig = r
			r.opts.Vault, r.opts.Hosts = &memVault{}, []Host{{Name: "127.0.0.1", Concurrency: 1}}
			r.restart()
			got := r.poll()
			if got.Verdict != Complete || got.Records != 5 || s.pages != 3 || s.refused == 0 {
				t.Fatalf("%s: %d records of %d pages, %d refusals, %d tokens: %s (%s)", got.Verdict, got.Records, s.pages, s.refused, s.minted, got.Message, got.Hint)
			}
			s.proves = func(http.ResponseWriter, *http.Request, string) bool { return false }
			before := s.refused + s.minted
			got = r.want(Failed)
			if text := got.Message + got.Hint; strings.Contains(text, "planted") {
				t.Errorf("a secret is shown: %s", text)
			}
			if asked := s.refused + s.minted - before; asked > 4 {
				t.Errorf("a server that refuses everything was asked %d times", asked)
			}
		})
	}
}

// walkFixed is for secrets that somebody else changes.
func walkFixed(kind string) func(*strict, *Source) {
	return func(s *strict, c *Source) {
		path := filepath.Join(s.t.TempDir(), "secret")
		n := 1
		good := s.rotate(path, n)
		ref := secretRef("file:" + path)
		c.Auth.Kind = kind
		switch kind {
		case auth.KindBasic:
			c.Auth.Username, c.Auth.Password = "ann", ref
		case auth.KindHeader:
			c.Auth.Header, c.Auth.Token = "X-Api-Key", ref
		case auth.KindQuery:
			c.Auth.Param, c.Auth.Token = "api_key", ref
		default:
			c.Auth.Token = ref
		}
		s.proves = func(_ http.ResponseWriter, q *http.Request, _ string) bool {
			user, password, _ := q.BasicAuth()
			for kindOf, ok := range map[string]bool{
				auth.KindBasic: user == "ann" && password == good, auth.KindBearer: q.Header.Get("Authorization") == "Bearer "+good,
				auth.KindHeader: q.Header.Get("X-Api-Key") == good, auth.KindQuery: q.URL.Query().Get("api_key") == good,
			} {
				if kindOf == kind {
					return ok
				}
			}
			return false
		}
		s.expire = func() { n++; good = s.rotate(path, n) }
	}
}

// walkOAuth2 is a token endpoint that checks its grant, and tokens that are good for a page.
func walkOAuth2(grant string) func(*strict, *Source) {
	return func(s *strict, c *Source) {
		a, origin := &c.Auth, strings.TrimSuffix(c.URL, "/contacts")
		a.Kind, a.Grant, a.TokenURL, a.ClientID = auth.KindOAuth2, grant, origin+"/auth", "me"
		token, refresh := "", "tok-planted-secret"
		checks := map[string]func(form url.Values) bool{
			"client_credentials": func(url.Values) bool { return true },
			"password": func(f url.Values) bool {
				return f.Get("username") == "ann" && f.Get("password") == "pass/planted secret+"
			},
			"refresh_token": func(f url.Values) bool { return f.Get("refresh_token") == refresh },
		}
		switch grant {
		case "client_credentials":
			a.ClientSecret = secretRef("env:TOKEN")
		case "password":
			a.Username, a.Password, a.ClientSecret = "ann", secretRef("env:PASSWORD"), secretRef("env:TOKEN")
		case "refresh_token":
			a.RefreshToken, a.ClientSecret = secretRef("env:TOKEN"), secretRef("env:TOKEN")
		case "jwt_bearer":
			key, check := assertionKey(s, a.TokenURL)
			a.ClientID, a.Issuer, a.Key = "", "me", secretRef("file:"+key)
			checks[grant] = check
		}
		s.mint = func(w http.ResponseWriter, q *http.Request, body string) {
			form, err := url.ParseQuery(body)
			_, secret, basic := q.BasicAuth()
			known := grant == "jwt_bearer" || basic && secret == "tok-planted-secret"
			if err != nil || !known || !strings.HasSuffix(strings.ReplaceAll(form.Get("grant_type"), "-", "_"), grant) || !checks[grant](form) {
				s.t.Errorf("the token request %s is wrong", body)
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			token = fmt.Sprintf("access-planted-%d", s.minted)
			answer := map[string]any{"access_token": token, "expires_in": 3600}
			if grant == "refresh_token" {
				refresh = fmt.Sprintf("refresh-planted-%d", s.minted)
				answer["refresh_token"] = refresh
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer)
		}
		s.proves = func(_ http.ResponseWriter, q *http.Request, _ string) bool {
			return token != "" && q.Header.Get("Authorization") == "Bearer "+token
		}
		s.expire = func() { token = "" }
	}
}

// assertionKey makes a key and what verifies the assertions that it signs.
func assertionKey(s *strict, audience string) (path string, check func(url.Values) bool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	path = filepath.Join(s.t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path, func(f url.Values) bool {
		parts := strings.Split(f.Get("assertion"), ".")
		if len(parts) != 3 {
			return false
		}
		signature, err := base64.RawURLEncoding.DecodeString(parts[2])
		payload, err2 := base64.RawURLEncoding.DecodeString(parts[1])
		var claims struct {
			Iss string `json:"iss"`
			Aud string `json:"aud"`
			Exp int64  `json:"exp"`
		}
		if err != nil || err2 != nil || len(signature) != 64 || json.Unmarshal(payload, &claims) != nil {
			return false
		}
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		fresh := time.Unix(claims.Exp, 0).After(s.rig.now) && time.Unix(claims.Exp, 0).Before(s.rig.now.Add(time.Hour+time.Minute))
		return claims.Iss == "me" && claims.Aud == audience && fresh &&
			ecdsa.Verify(&key.PublicKey, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
}

// walkDigest is a server whose nonces are good for one request.
func walkDigest(s *strict, c *Source) {
	c.Auth.Kind, c.Auth.Username, c.Auth.Password = auth.KindDigest, "ann", secretRef("env:PASSWORD")
	nonce, issued := "", 0
	hash := func(text string) string { sum := md5.Sum([]byte(text)); return hex.EncodeToString(sum[:]) }
	s.proves = func(w http.ResponseWriter, q *http.Request, _ string) bool {
		p := map[string]string{}
		for _, m := range regexp.MustCompile(`(\w+)=(?:"([^"]*)"|([^\s,"]+))`).FindAllStringSubmatch(q.Header.Get("Authorization"), -1) {
			p[m[1]] = m[2] + m[3]
		}
		want := hash(hash("ann:api:pass/planted secret+") + ":" + p["nonce"] + ":" + p["nc"] + ":" + p["cnonce"] + ":auth:" + hash(q.Method+":"+q.RequestURI))
		right := p["response"] == want && p["uri"] == q.RequestURI
		if right && p["nonce"] == nonce && nonce != "" {
			return true
		}
		issued++
		nonce = fmt.Sprintf("nonce-%d", issued)
		challenge := fmt.Sprintf(`Digest realm="api", nonce=%q, qop="auth", algorithm=MD5`, nonce)
		if right {
			challenge += ", stale=true"
		}
		w.Header().Set("WWW-Authenticate", challenge)
		return false
	}
	s.expire = func() { nonce = "" }
}

// walkLogin is a login whose session is good for a page.
func walkLogin(token, inside bool) func(*strict, *Source) {
	return func(s *strict, c *Source) {
		c.Auth.Kind, c.Auth.URL = auth.KindLogin, strings.TrimSuffix(c.URL, "/contacts")+"/auth"
		c.Auth.Body = `{"user":"ann","password":"{secret:env:PASSWORD}"}`
		session := ""
		if token {
			c.Auth.TokenPath = differ.MustPath("session.token")
		}
		if s.inside = inside; inside {
			expired, err := differ.ParseCondition(`error == "session expired"`)
			if err != nil {
				s.t.Fatal(err)
			}
			c.Auth.Expired = expired
		}
		s.mint = func(w http.ResponseWriter, _ *http.Request, body string) {
			if body != `{"user":"ann","password":"pass/planted secret+"}` {
				s.t.Errorf("the login %s is wrong", body)
			}
			session = fmt.Sprintf("session-planted-%d", s.minted)
			if token {
				fmt.Fprintf(w, `{"session":{"token":%q}}`, session)
				return
			}
			http.SetCookie(w, &http.Cookie{Name: "sid", Value: session, Path: "/", HttpOnly: true})
		}
		s.proves = func(_ http.ResponseWriter, q *http.Request, _ string) bool {
			cookie, err := q.Cookie("sid")
			return session != "" && (token && q.Header.Get("Authorization") == "Bearer "+session || !token && err == nil && cookie.Value == session)
		}
		s.expire = func() { session = "" }
	}
}

// walkHMAC is a server that takes a signature for a minute and a nonce once, and whose time goes on with each page. Its first refusal is
// that of a stranger.
func walkHMAC(s *strict, c *Source) {
	c.Auth.Kind, c.Auth.Key, c.Auth.KeyID = auth.KindHMAC, secretRef("env:TOKEN"), "k1"
	c.Auth.Content = "{method}\n{path}\n{query}\n{timestamp}\n{nonce}"
	c.Auth.Headers = map[string]string{"X-Time": "{timestamp}", "X-Nonce": "{nonce}", "X-Signature": "{key_id}:{signature}"}
	seen := map[string]bool{}
	s.refused++ // no proof of this kind runs out before it is sent: each request is signed anew
	s.proves = func(_ http.ResponseWriter, q *http.Request, _ string) bool {
		at, err := strconv.ParseInt(q.Header.Get("X-Time"), 10, 64)
		nonce := q.Header.Get("X-Nonce")
		mac := hmac.New(sha256.New, []byte("tok-planted-secret"))
		fmt.Fprintf(mac, "%s\n%s\n%s\n%d\n%s", q.Method, q.URL.Path, q.URL.RawQuery, at, nonce)
		age := s.rig.now.Sub(time.Unix(at, 0)).Abs()
		if err != nil || age > time.Minute || nonce == "" || seen[nonce] || q.Header.Get("X-Signature") != "k1:"+hex.EncodeToString(mac.Sum(nil)) {
			return false
		}
		seen[nonce] = true
		return true
	}
	s.expire = func() { s.rig.now = s.rig.now.Add(10 * time.Minute) }
}
