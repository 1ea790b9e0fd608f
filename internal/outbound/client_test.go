package outbound

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func targetOf(t *testing.T, address string) Target {
	t.Helper()
	target, err := ParseTarget(address)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// setup is what a client in a test is made of.
type setup struct {
	Options

	Hosts   *Hosts
	Timeout time.Duration
	MaxBody int64
}

// client puts the transport behind a gate.
func (s setup) client() *Client {
	if s.Hosts == nil {
		s.Hosts = NewHosts(nil)
	}
	if s.Transport == nil {
		s.Transport = NewTransport()
	}
	s.Transport = s.Hosts.Gate(s.Transport, GateOptions{Timeout: s.Timeout, MaxBody: s.MaxBody, Retry: s.Retry, Now: s.Now})
	return NewClient(s.Options)
}

// asking makes a client of a server and its first request.
func asking(t *testing.T, server *httptest.Server, edit func(*setup)) (*Client, Request) {
	t.Helper()
	o := setup{Timeout: 5 * time.Second, Options: Options{
		Target: targetOf(t, server.URL),
		Retry:  Retry{Attempts: 3, Base: time.Millisecond, Max: 2 * time.Millisecond, MaxWait: 3 * time.Second},
	}}
	if edit != nil {
		edit(&o)
	}
	u, err := url.Parse(server.URL + "/list")
	if err != nil {
		t.Fatal(err)
	}
	return o.client(), Request{URL: u, Header: http.Header{}}
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func text(t *testing.T, r *Response) string {
	t.Helper()
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestAddressesAreChecked(t *testing.T) {
	for address, origin := range map[string]string{
		"https://API.example.com/v1?x=1#f": "https://api.example.com:443",
		"http://api.example.com:8080":      "http://api.example.com:8080",
		"http://[::1]:80/x":                "http://::1:80",
		"unix:/run/x.sock:/http/path?a=b":  "unix:/run/x.sock",
		"ftp://x":                          "",
		"api.example.com":                  "",
		"https://":                         "",
		"https://user:pw@x/":               "",
		"unix:/run/x.sock":                 "",
		"unix:run/x.sock:/":                "",
		"http://2f72756e.socket.invalid/":  "",
		"https://a b/":                     "",
		"http://x/%zz":                     "",
		"unix:/run/x.sock:/%zz":            "",
	} {
		target, err := ParseTarget(address)
		if (err == nil) != (origin != "") || err == nil && target.Origin() != origin {
			t.Errorf("%s: origin %v, error %v; want %q", address, target, err, origin)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: the error prints a password: %v", address, err)
		}
	}
	if got := targetOf(t, "unix:/run/x.sock:/http/path?a=b").String(); got != "unix:/run/x.sock:/http/path" {
		t.Errorf("a socket is shown as %s", got)
	}
}

func TestEachStatusIsRetriedOrNot(t *testing.T) {
	for status := 200; status < 600; status++ {
		if status == 304 || status >= 300 && status < 400 || http.StatusText(status) == "" {
			continue
		}
		asked := 0
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { asked++; w.WriteHeader(status) })
		c, q := asking(t, s, nil)
		resp, err := c.Do(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		want := 1
		if status == 408 || status == 425 || status == 429 || status >= 500 && status != 501 {
			want = 3
		}
		if asked != want || resp.Status != status || resp.Attempts != want {
			t.Errorf("%d: asked %d times, want %d; response %+v", status, asked, want, resp)
		}
		s.Close()
	}
}

func TestTheStatusesToRetryCanBeSet(t *testing.T) {
	asked := 0
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { asked++; w.WriteHeader([]int{403, 503, 200}[asked-1]) })
	c, q := asking(t, s, func(o *setup) { o.Retry.On = []int{403} })
	resp, err := c.Do(t.Context(), q)
	if err != nil || resp.Status != 503 || asked != 2 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	_ = resp.Body.Close()
}

func TestABrokenConnectionIsTriedAgainWithTheBody(t *testing.T) {
	var bodies []string
	s := serve(t, func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		bodies = append(bodies, string(b))
		if len(bodies) < 3 {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, "ok")
	})
	c, q := asking(t, s, nil)
	q.Method, q.Body = http.MethodPost, []byte("question")
	resp, err := c.Do(t.Context(), q)
	if err != nil || text(t, resp) != "ok" || !slices.Equal(bodies, []string{"question", "question", "question"}) {
		t.Errorf("%v, bodies %q", err, bodies)
	}
}

func TestRetryAfterIsHonouredInBothForms(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, h := range []struct {
		after, date string
		want        time.Duration
		ok          bool
	}{
		{"120", "", 2 * time.Minute, true},
		{"0", "", 0, true},
		{" 7 ", "", 7 * time.Second, true},
		{"86400", "", 24 * time.Hour, true},
		{"86401", "", 24 * time.Hour, true},
		{"10000000000", "", 24 * time.Hour, true},
		{"99999999999999999999999999", "", 24 * time.Hour, true},
		{"Mon, 23 Nov 2026 12:01:00 GMT", "", time.Minute, true},
		{"Monday, 23-Nov-26 12:01:00 GMT", "", time.Minute, true},
		{"Mon Nov 23 12:01:00 2026", "", time.Minute, true},
		{"Mon, 23 Nov 2026 11:00:00 GMT", "", 0, true},
		{"Fri, 01 Jan 2100 00:00:00 GMT", "", 24 * time.Hour, true},
		{"Mon, 23 Nov 2026 09:05:00 GMT", "Mon, 23 Nov 2026 09:00:00 GMT", 5 * time.Minute, true}, // the server's clock is slow
		{"-5", "", 0, false},
		{"soon", "", 0, false},
		{"", "", 0, false},
	} {
		resp := &http.Response{Header: http.Header{}}
		if h.after != "" {
			resp.Header.Set("Retry-After", h.after)
		}
		resp.Header.Set("Date", h.date)
		if got, ok := RetryAfter(resp.Header, now); got != h.want || ok != h.ok {
			t.Errorf("Retry-After %q: %v, %t; want %v, %t", h.after, got, ok, h.want, h.ok)
		}
	}
}

func TestT17OneEngineWaitsAndItWaitsWithinBounds(t *testing.T) {
	c := NewClient(Options{Target: Target{URL: &url.URL{}}, Retry: Retry{Attempts: 9, Base: time.Second, Max: 10 * time.Second}})
	for attempt, seconds := range []int{1, 2, 4, 8, 10, 10, 10} {
		most := time.Duration(seconds) * time.Second
		for range 50 {
			got := c.backoff(time.Second, 10*time.Second, attempt, nil)
			if got < most/2 || got > most {
				t.Fatalf("wait %d is %v, want up to %v", attempt, got, most)
			}
		}
	}
	if got := c.backoff(time.Second, 10*time.Second, 60, nil); got < 5*time.Second || got > 10*time.Second {
		t.Errorf("a late wait is %v", got)
	}
}

func TestAShortWaitIsWaitedAndALongOneDefersThePoll(t *testing.T) {
	for _, c := range []struct {
		after    string
		deadline time.Duration
		asked    int
		deferred time.Duration
	}{
		{"1", time.Minute, 2, 0},
		{"4", time.Minute, 1, 4 * time.Second},
		{"86400", time.Minute, 1, 24 * time.Hour},
		{"2", 1900 * time.Millisecond, 1, 2 * time.Second}, // longer than the poll may take
	} {
		t.Run(c.after, func(t *testing.T) {
			asked := 0
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if asked++; asked == 1 {
					w.Header().Set("Retry-After", c.after)
					w.WriteHeader(http.StatusTooManyRequests)
				}
			})
			client, q := asking(t, s, nil)
			ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
			defer cancel()
			began := time.Now()
			resp, err := client.Do(ctx, q)
			if resp != nil {
				_ = resp.Body.Close()
			}
			wait, deferred := errors.AsType[*DeferredError](err)
			if asked != c.asked || deferred != (c.deferred > 0) || deferred && (wait.Wait != c.deferred || wait.Attempts != 1 || time.Until(wait.Until) > c.deferred+c.deferred/10) {
				t.Errorf("asked %d times, error %v", asked, err)
			}
			if !deferred && time.Since(began) < time.Second {
				t.Error("it did not wait")
			}
		})
	}
}

func TestALastRefusalWithAWaitDefers(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	c, q := asking(t, s, func(o *setup) { o.Retry.Attempts = 1 })
	_, err := c.Do(t.Context(), q)
	if wait, ok := errors.AsType[*DeferredError](err); !ok || wait.Status != 503 || wait.Error() != "the server answered 503 and asks to wait 2s" {
		t.Errorf("error %v", err)
	}
}

func TestT15RedirectsStayInTheOriginAndCredentialsToo(t *testing.T) {
	var elsewhere []string
	other := serve(t, func(w http.ResponseWriter, q *http.Request) {
		elsewhere = append(elsewhere, fmt.Sprint(q.URL, q.Header))
		fmt.Fprint(w, "other")
	})
	var home []string
	var to string
	s := serve(t, func(w http.ResponseWriter, q *http.Request) {
		home = append(home, fmt.Sprint(q.Method, " ", q.URL, " ", q.Header.Get("X-Api-Key"), q.Header.Get("Referer")))
		if q.URL.Path == "/list" {
			http.Redirect(w, q, to, http.StatusFound)
			return
		}
		fmt.Fprint(w, "home")
	})
	allowed := []string{strings.TrimPrefix(other.URL, "http://")}
	for _, c := range []struct {
		name, to string
		edit     func(*setup)
		method   string
		status   int
		home     int
		other    int
	}{
		{"inside", "/moved?a=1", nil, "", 200, 2, 0},
		{"inside, but none are followed", "/moved", func(o *setup) { o.NoRedirects = true }, "", 302, 1, 0},
		{"to another host", other.URL + "/x", nil, "", 302, 1, 0},
		{"to an allowed host", other.URL + "/x", func(o *setup) { o.AllowedHosts = allowed }, "", 200, 1, 1},
		{"a POST is not turned into a GET", "/moved", nil, http.MethodPost, 302, 1, 0},
		{"to a file", "file:///etc/passwd", nil, "", 302, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			home, elsewhere, to = nil, nil, c.to
			client, q := asking(t, s, c.edit)
			q.Method, q.Credentials = c.method, http.Header{"X-Api-Key": {"planted"}, "Authorization": {"planted"}, "Cookie": {"planted"}}
			q.SecretQuery = url.Values{"key": {"planted"}}
			resp, err := client.Do(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			_ = text(t, resp)
			if resp.Status != c.status || len(home) != c.home || len(elsewhere) != c.other || strings.Contains(fmt.Sprint(elsewhere), "planted") {
				t.Errorf("status %d, home %q, elsewhere %q", resp.Status, home, elsewhere)
			}
			if c.home == 2 && home[1] != "GET /moved?a=1&key=planted planted" {
				t.Errorf("the origin was asked %q", home)
			}
		})
	}
}

func TestACircleOfRedirectsEnds(t *testing.T) {
	asked := 0
	s := serve(t, func(w http.ResponseWriter, q *http.Request) {
		asked++
		http.Redirect(w, q, fmt.Sprint("/", asked), http.StatusFound)
	})
	c, q := asking(t, s, nil)
	_, err := c.Do(t.Context(), q)
	if e, ok := errors.AsType[*Error](err); !ok || e.Reason != "redirect" || asked != 11 {
		t.Errorf("error %v, asked %d times", err, asked)
	}
}

func TestOtherOriginsAreNotAsked(t *testing.T) {
	c := NewClient(Options{Target: targetOf(t, "https://api.example.com/x"), AllowedHosts: []string{"cdn.example.com", "other.example.com:8443"}})
	for address, want := range map[string]bool{
		"https://api.example.com/y":          true,
		"https://api.example.com:443/y":      true,
		"https://API.EXAMPLE.COM/y":          true,
		"http://api.example.com/y":           false,
		"https://api.example.com:8443/y":     false,
		"https://api.example.com.evil.test/": false,
		"https://cdn.example.com/y":          true,
		"https://cdn.example.com:444/y":      false,
		"https://other.example.com/":         false,
		"https://other.example.com:8443/":    true,
		"ftp://cdn.example.com/":             false,
		"http://2f72756e.socket.invalid/":    false,
		"https://evil.test/?api.example.com": false,
		"https://api.example.com@evil.test/": false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Allows(u); got != want {
			t.Errorf("%s: allowed %t", address, got)
		}
	}
	evil, err := url.Parse("https://evil.test/?token=planted")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(t.Context(), Request{URL: evil}); err == nil || strings.Contains(err.Error(), "planted") {
		t.Errorf("error %v", err)
	}
	cdn := &url.URL{Scheme: "https", Host: "cdn.example.com"}
	if _, err := c.Do(t.Context(), Request{URL: cdn, Method: "POST", Body: []byte("x")}); err == nil {
		t.Error("a body was sent to another host")
	}
}

func TestErrorsSayWhatHappenedAndNoSecret(t *testing.T) {
	nowhere := roundTrip(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "crm.example.com", IsNotFound: true}}
	})
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	plain := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	slow := serve(t, func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
	for _, c := range []struct {
		name, address, reason, message string
		attempts                       int
	}{
		{"nobody listens", closed.URL, "connect", "connection refused by 127.0.0.1:", 2},
		{"unknown host", "http://crm.example.com", "dns", "cannot find the host crm.example.com: no such host", 2},
		{"certificate", secure.URL, "tls", "TLS with 127.0.0.1:", 1},
		{"plain HTTP instead of TLS", strings.Replace(plain.URL, "http:", "https:", 1), "tls", "TLS with 127.0.0.1:", 2},
		{"no answer", plain.URL, "network", "closed the connection without an answer", 2},
		{"too slow", slow.URL, "timeout", "did not answer within 50ms", 2},
		{"no socket", "unix:/nonexistent.sock:/", "connect", "cannot connect to unix:/nonexistent.sock", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := setup{Timeout: 10 * time.Second, Options: Options{
				Target: targetOf(t, c.address), Retry: Retry{Attempts: 2, Base: time.Millisecond, Max: time.Millisecond},
			}}
			switch c.reason {
			case "dns":
				o.Transport = nowhere
			case "timeout":
				o.Timeout = 50 * time.Millisecond
			}
			client := o.client()
			u := *targetOf(t, c.address).URL
			u.Path, u.RawQuery = "/x", "token=planted"
			_, err := client.Do(t.Context(), Request{URL: &u, SecretQuery: url.Values{"k": {"planted"}}})
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Reason != c.reason || !strings.Contains(e.Message, c.message) || e.Attempts != c.attempts {
				t.Errorf("%+v (%v)", e, err)
			}
			if strings.Contains(fmt.Sprintf("%v %s", err, err), "planted") {
				t.Errorf("a secret is printed: %v", err)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f roundTrip) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

func TestABodyIsReadWithinTheTimeout(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, q *http.Request) {
		fmt.Fprint(w, "begin")
		_ = http.NewResponseController(w).Flush()
		<-q.Context().Done()
	})
	c, q := asking(t, s, func(o *setup) { o.Timeout = 50 * time.Millisecond })
	resp, err := c.Do(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	if e, ok := errors.AsType[*Error](err); !ok || e.Reason != "timeout" || e.Message != "timed out after 50ms while reading the answer" {
		t.Errorf("error %v", err)
	}
}

func TestAnAnswerThatTakesTheConnectionOverIsAnEmptyOne(t *testing.T) {
	taken := make(chan net.Conn, 1)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		taken <- conn
		defer func() { _ = conn.Close() }()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn) // until the client goes
	})
	c, q := asking(t, s, nil)
	resp, err := c.Do(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stuck := time.AfterFunc(20*time.Second, func() {
		t.Error("the answer does not end")
		_ = (<-taken).Close()
	})
	defer stuck.Stop()
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) > 0 || resp.Status != http.StatusSwitchingProtocols {
		t.Errorf("status %d, body %q, error %v", resp.Status, body, err)
	}
}

func TestWhatMayNotStandInAQueryIsEscaped(t *testing.T) {
	var asked []string
	s := serve(t, func(w http.ResponseWriter, q *http.Request) {
		if asked = append(asked, q.RequestURI); len(asked) == 1 {
			w.Header()["Location"] = []string{"/there?sort=name desc&city=Köln"}
			w.WriteHeader(http.StatusFound)
		}
	})
	c, q := asking(t, s, nil)
	q.URL.RawQuery = `q=a b&x=%20+&r=é"<>`
	resp, err := c.Do(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if want := []string{"/list?q=a%20b&x=%20+&r=%C3%A9%22%3C%3E", "/there?sort=name%20desc&city=K%C3%B6ln"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, not %q", asked, want)
	}
}

func TestACancelledRequestGivesTheCause(t *testing.T) {
	cause := errors.New("the daemon stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	s := serve(t, func(_ http.ResponseWriter, q *http.Request) { cancel(cause); <-q.Context().Done() })
	c, q := asking(t, s, nil)
	if _, err := c.Do(ctx, q); !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
}

func zipped(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBodiesAreDecompressedCountedAndComplete(t *testing.T) {
	long := strings.Repeat("0123456789", 1000)
	for _, c := range []struct {
		name    string
		coding  string
		body    []byte
		length  int
		want    string
		message string
	}{
		{"plain", "", []byte("hello"), 5, "hello", ""},
		{"gzip", "gzip", zipped(t, "hello"), 0, "hello", ""},
		{"exactly the limit", "gzip", zipped(t, long), 0, long, ""},
		{"one byte more", "gzip", zipped(t, long+"x"), 0, long, "the answer is larger than 10000B (response.max_body)"},
		{"cut gzip", "gzip", zipped(t, long)[:30], 0, "", "cut off"},
		{"shorter than announced", "", []byte("hello"), 9, "hello", "cut off"},
		{"another coding", "compress", []byte("x"), 0, "", `content-encoding "compress"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.coding != "" {
					w.Header().Set("Content-Encoding", c.coding)
				}
				if c.length > 0 {
					w.Header().Set("Content-Length", strconv.Itoa(c.length))
				}
				_, _ = w.Write(c.body)
			})
			client, q := asking(t, s, func(o *setup) { o.MaxBody = 10_000 })
			resp, err := client.Do(t.Context(), q)
			got := []byte(nil)
			if err == nil {
				defer resp.Body.Close()
				got, err = io.ReadAll(resp.Body)
			}
			if c.message == "" && err != nil || c.message != "" && (err == nil || !strings.Contains(err.Error(), c.message)) {
				t.Errorf("error %v, want %q", err, c.message)
			}
			if c.want != "" && string(got) != c.want {
				t.Errorf("%d bytes, want %d", len(got), len(c.want))
			}
		})
	}
}

func TestGzipThatNobodyAskedForIsRead(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(zipped(t, "hello"))
	})
	c, q := asking(t, s, nil)
	q.Header.Set("Accept-Encoding", "identity")
	resp, err := c.Do(t.Context(), q)
	if err != nil || text(t, resp) != "hello" {
		t.Errorf("%v", err)
	}
}

func TestAUnixSocketIsAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/old" {
			http.Redirect(w, q, "/new", http.StatusFound)
			return
		}
		fmt.Fprint(w, q.Host, " ", q.URL, " ", q.Header.Get("X-Key"))
	})}}
	s.Start()
	t.Cleanup(s.Close)
	target := targetOf(t, "unix:"+path+":/old?a=1")
	c := setup{Options: Options{Target: target}}.client()
	resp, err := c.Do(t.Context(), Request{URL: target.URL, Header: http.Header{}, Credentials: http.Header{"X-Key": {"k"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, resp); got != "localhost /new k" {
		t.Errorf("the server saw %s", got)
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	var connections atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/fail" {
			w.WriteHeader(500)
		}
		fmt.Fprint(w, "ok")
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c, q := asking(t, s, func(o *setup) { o.Retry.Base, o.Retry.Max = 1, 1 })
	for range 10 {
		resp, err := c.Do(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		_ = text(t, resp)
	}
	// Giving up on one request leaves the others' connections alone.
	bad := q
	bad.URL = &url.URL{Scheme: q.URL.Scheme, Host: q.URL.Host, Path: "/fail"}
	resp, err := c.Do(t.Context(), bad)
	if err != nil {
		t.Fatal(err)
	}
	_ = text(t, resp)
	resp, err = c.Do(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	_ = text(t, resp)
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestTheOriginMayBeAskedUnderAnotherName(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, q.Host) })
	c, q := asking(t, s, nil)
	q.Credentials = http.Header{"Host": {"crm.internal"}}
	resp, err := c.Do(t.Context(), q)
	if err != nil || text(t, resp) != "crm.internal" {
		t.Errorf("%v", err)
	}
}

func TestTheResponseTellsWhatItIs(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", `Application/JSON; charset="utf-8"`)
		w.Header().Set("Date", "Mon, 23 Nov 2026 12:00:00 GMT")
		fmt.Fprint(w, "[]")
	})
	c, q := asking(t, s, nil)
	resp, err := c.Do(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	_ = text(t, resp)
	if resp.Type() != "application/json" || resp.Date.Unix() != 1795435200 || resp.Length != 2 || resp.URL.Path != "/list" {
		t.Errorf("response %+v, type %s", resp, resp.Type())
	}
	resp.Header.Set("Content-Type", "text/html; bad=")
	if resp.Type() != "text/html" {
		t.Errorf("type %s", resp.Type())
	}
}
