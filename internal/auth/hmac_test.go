package auth

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// macOf is what a server computes.
func macOf(h func() hash.Hash, key, text string) []byte {
	mac := hmac.New(h, []byte(key))
	_, _ = io.WriteString(mac, text)
	return mac.Sum(nil)
}

// received is a request as its server has read it.
type received struct {
	*http.Request

	body string
}

func TestServersVerifySignedRequests(t *testing.T) {
	now := newClock()
	stamp := strconv.FormatInt(now.now().Unix(), 10)
	for name, test := range map[string]struct {
		config Config
		verify func(r received) bool
	}{
		"method, uri, time and body": {
			Config{
				Content: "{method}\n{uri}\n{timestamp}\n{body}",
				Headers: map[string]string{"X-Signature": "{signature}", "X-Timestamp": "{timestamp}", "X-Key": "{key_id}"}, KeyID: "k-1",
			},
			func(r received) bool {
				text := r.Method + "\n" + r.RequestURI + "\n" + r.Header.Get("X-Timestamp") + "\n" + r.body
				return r.Header.Get("X-Timestamp") == stamp && r.Header.Get("X-Key") == "k-1" &&
					r.Header.Get("X-Signature") == hex.EncodeToString(macOf(sha256.New, "signing-key", text))
			},
		},
		"an Authorization header with SHA-1 in base64": {
			Config{
				Algorithm: "sha1", Encoding: "base64", KeyID: "AKID", Content: "{method}\n{md5_base64:body}\n{header:Content-Type}\n{date}\n{path}",
				Headers: map[string]string{"Authorization": "APP {key_id}:{signature}", "Date": "{date}", "Content-MD5": "{md5_base64:body}"},
			},
			func(r received) bool {
				sum := md5.Sum([]byte(r.body))
				text := "POST\n" + base64.StdEncoding.EncodeToString(sum[:]) + "\ntext/plain\n" + r.Header.Get("Date") + "\n/a%20b/c"
				return r.Header.Get("Date") == "Mon, 23 Nov 2026 12:00:00 GMT" &&
					r.Header.Get("Content-Md5") == base64.StdEncoding.EncodeToString(sum[:]) &&
					r.Header.Get("Authorization") == "APP AKID:"+base64.StdEncoding.EncodeToString(macOf(sha1.New, "signing-key", text))
			},
		},
		"the query, with time and signature in it": {
			Config{Algorithm: "sha512", Content: "{query}", Params: map[string]string{"sig": "{signature}", "ts": "{timestamp_ms}"}},
			func(r received) bool {
				before, signature, _ := strings.Cut(r.URL.RawQuery, "&sig=")
				return before == "b=2&a=1%2C2&ts="+stamp+"000" && signature == hex.EncodeToString(macOf(sha512.New, "signing-key", before))
			},
		},
		"host, digest of the body and a nonce": {
			Config{Content: "{host}{path}?{query}{sha256:body}{nonce}", Headers: map[string]string{"X-S": "{signature}", "X-Nonce": "{nonce}"}},
			func(r received) bool {
				sum := sha256.Sum256([]byte(r.body))
				nonce := r.Header.Get("X-Nonce")
				text := r.Host + "/a%20b/c?b=2&a=1%2C2" + hex.EncodeToString(sum[:]) + nonce
				return len(nonce) == 32 && r.Header.Get("X-S") == hex.EncodeToString(macOf(sha256.New, "signing-key", text))
			},
		},
		"a key in base64": {
			Config{Key: env("KEY64"), KeyEncoding: "base64", Content: "{method}", Headers: map[string]string{"X-S": "{signature}"}},
			func(r received) bool {
				return r.Header.Get("X-S") == hex.EncodeToString(macOf(sha256.New, "signing-key", "POST"))
			},
		},
		"a key in hexadecimal": {
			Config{Key: env("KEYHEX"), KeyEncoding: "hex", Content: "{method}", Headers: map[string]string{"X-S": "v1={signature}"}},
			func(r received) bool {
				return r.Header.Get("X-S") == "v1="+hex.EncodeToString(macOf(sha256.New, "signing-key", "POST"))
			},
		},
		"braces that are no placeholder": {
			Config{Content: `{"m":"{method}",{{body}}:{}{ }`, Headers: map[string]string{"X-S": "{signature}"}},
			func(r received) bool {
				return r.Header.Get("X-S") == hex.EncodeToString(macOf(sha256.New, "signing-key", `{"m":"POST",{body}:{}{ }`))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || string(body) != "the body" || !test.verify(received{r, string(body)}) {
					t.Errorf("%s %s %v with body %q, %v", r.Method, r.RequestURI, r.Header, body, err)
				}
			}))
			v := newVault("KEY", "signing-key", "KEY64", base64.StdEncoding.EncodeToString([]byte("signing-key")), "KEYHEX", hex.EncodeToString([]byte("signing-key")))
			config := test.config
			config.Kind = KindHMAC
			if config.Key.IsZero() {
				config.Key = env("KEY")
			}
			c := newClient(t, config, s.URL, Options{Secrets: v.secrets(), Now: now.now})
			c.transport = typed{c.transport}
			for range 2 {
				if g, err := c.askTyped(t, s.URL+"/a%20b/c?b=2&a=1%2C2"); err != nil || g.status != http.StatusOK {
					t.Errorf("%+v, %v", g, err)
				}
			}
		})
	}
}

// typed is a transport that changes nothing; it makes sure that nothing depends on the type of the real one.
type typed struct{ http.RoundTripper }

// askTyped posts a text with its content type, which is set before the request is signed.
func (c *client) askTyped(t *testing.T, address string) (got, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, io.NopCloser(strings.NewReader("the body")))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	if _, err := c.a.Authorize(t.Context(), req); err != nil {
		return got{}, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return got{}, err
	}
	defer resp.Body.Close()
	return got{status: resp.StatusCode}, nil
}

func TestEachTryIsSignedAnew(t *testing.T) {
	now := newClock()
	seen := map[string]bool{}
	s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen[r.Header.Get("X-S")] = true }))
	config := Config{
		Kind: KindHMAC, Key: env("KEY"), Content: "{timestamp_ms}{nonce}",
		Headers: map[string]string{"X-S": "{signature} {nonce} {timestamp_ms}"},
	}
	c := newClient(t, config, s.URL, Options{Secrets: newVault("KEY", "signing-key").secrets(), Now: now.now})
	for range 5 {
		c.ok(t, s.URL)
		now.pass(time.Millisecond)
	}
	if len(seen) != 5 {
		t.Errorf("%d different signatures of 5", len(seen))
	}
}

func TestASignatureThatIsRefusedPointsToTheClock(t *testing.T) {
	s := serve(t, guarded(func(*http.Request) bool { return false }))
	config := Config{Kind: KindHMAC, Key: env("KEY"), Content: "{uri}", Headers: map[string]string{"X-S": "{signature}"}}
	e := newClient(t, config, s.URL, Options{Secrets: newVault("KEY", "signing-key").secrets()}).fails(t, s.URL)
	if !strings.Contains(e.Hint, "clock") || !strings.Contains(e.Hint, "auth.key (env:KEY)") {
		t.Error(e.Hint)
	}
	quiet(t, e, "signing-key")
}

func TestWrongTemplatesAreExplained(t *testing.T) {
	for text, says := range map[string]string{
		"{signature}": "cannot be a part of what is signed", "{methd}": "unknown placeholder {methd}", "{method:x}": "{method:x} takes no argument",
		"{sha256}": "only {sha256:body} is", "{sha256:path}": "only {sha256:body} is", "{sha3:body}": "unknown placeholder {sha3:body}",
		"{header:}": "does not name a header", "{header:a b}": "does not name a header", "{secret:env:X}": "unknown placeholder",
	} {
		_, err := parseTemplate(text, false, "content")
		if err == nil || !strings.Contains(err.Error(), says) || err.hint == "" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzHMACTemplate(f *testing.F) {
	for _, seed := range []string{
		"{method}\n{path}\n{timestamp}\n{body}", "{{method}}", "{{{method}}}", "{sha256:body}{header:Date}", "{", "}", "{}", "{a:b:c}", `{"a":{}}`, "{{x", "{x}}",
	} {
		f.Add(seed, "/a?b=c", []byte("body"))
	}
	at := newClock().now()
	f.Fuzz(func(t *testing.T, text, address string, body []byte) {
		u, err := url.ParseRequestURI(address)
		if err != nil || u.Host != "" {
			u = &url.URL{Path: "/"}
		}
		tmpl, problem := parseTemplate(text, false, "content")
		if problem != nil {
			if problem.Error() == "" || problem.hint == "" {
				t.Fatalf("%q: an empty explanation", text)
			}
			return
		}
		req := httptest.NewRequest(http.MethodGet, "http://host/", nil)
		req.URL = u
		rendered := tmpl.render(&signedRequest{req: req, body: body, keyID: "id", at: at, nonce: "n"})
		// A reader with another method: each placeholder is replaced as a whole, by a plain search through the text.
		if want := slowRender(text, map[string]string{
			"method": "GET", "path": or(u.EscapedPath(), "/"), "query": u.RawQuery, "uri": u.RequestURI(), "host": "host", "key_id": "id", "nonce": "n",
			"timestamp": "1795435200", "timestamp_ms": "1795435200000", "date": "Mon, 23 Nov 2026 12:00:00 GMT", "body": string(body),
		}); !strings.Contains(text, ":") && rendered != want {
			t.Fatalf("%q became %q, want %q", text, rendered, want)
		}
	})
}

// slowRender fills in placeholders without an argument.
func slowRender(text string, values map[string]string) string {
	literal, placeholder := regexp.MustCompile(`^\{\{[a-z_][a-z0-9_]*\}\}`), regexp.MustCompile(`^\{[a-z_]+\}`)
	var b strings.Builder
	for text != "" {
		size := 1
		if found := literal.FindString(text); found != "" {
			b.WriteString(found[1 : len(found)-1])
			size = len(found)
		} else if found := placeholder.FindString(text); found != "" {
			b.WriteString(values[found[1:len(found)-1]])
			size = len(found)
		} else {
			b.WriteByte(text[0])
		}
		text = text[size:]
	}
	return b.String()
}
