package hooktest_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/hooktest"
)

// plain is a client that hides nothing: no redirects, no decompression.
func plain(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true, TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// met gives what a client that waits so long sees of a fault: the status line, the body, and what broke.
func met(t *testing.T, f hooktest.Fault, patience time.Duration) (a answer, body string, err error) {
	t.Helper()
	r := &hooktest.Receiver{NoReplica: true}
	r.Set(f)
	client := plain(t, nil)
	client.Timeout = patience
	return get(t, client, serve(t, r).URL)
}

// answer is what is left of one when its body was read; the zero value: there was none.
type answer struct {
	status int
	proto  string
}

func get(t *testing.T, client *http.Client, url string) (a answer, body string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return answer{resp.StatusCode, resp.Proto}, string(raw), err
}

func TestFaultsThatGiveAnAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  hooktest.Fault
		status int
		proto  string
		body   string
		breaks bool
	}{
		{"status", hooktest.Status(410), 410, "HTTP/1.1", "", false},
		{"interim answers first", hooktest.Informational(4), 200, "HTTP/1.1", "ok", false},
		{"HTTP/1.0", hooktest.HTTP10(200, "fine"), 200, "HTTP/1.0", "fine", false},
		{"no reason and no body", hooktest.Raw("HTTP/1.1 204\r\n\r\n"), 204, "HTTP/1.1", "", false},
		{"cut", hooktest.Cut(200), 200, "HTTP/1.1", "the begin", true},
		{"slow drip", hooktest.Drip(200, 10*time.Millisecond), 200, "HTTP/1.1", "....", true},
		{"endless", hooktest.Endless(200), 200, "HTTP/1.1", strings.Repeat("\x00", 1<<20), false},
		{"redirect", hooktest.Redirect(307, "http://127.0.0.1:1/"), 307, "HTTP/1.1", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			patience := time.Minute
			if tt.name == "slow drip" {
				patience = 3 * time.Second // it does not end
			}
			resp, body, err := met(t, tt.fault, patience)
			if resp.status != tt.status || resp.proto != tt.proto || !strings.HasPrefix(body, tt.body) || (err != nil) != tt.breaks {
				t.Errorf("%+v, body of %d bytes, %v", resp, len(body), err)
			}
		})
	}
}

func TestFaultsThatGiveNoAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault hooktest.Fault
		says  string
	}{
		{"hang", hooktest.Hang(), "deadline exceeded"},
		{"half a status line", hooktest.Stall("HTTP/1.1 20"), "deadline exceeded"},
		{"headers one byte at a time", hooktest.DripHead(10 * time.Millisecond), "deadline exceeded"},
		{"headers without an end", hooktest.EndlessHead(), "exceeded"},
		{"close", hooktest.Close(), "EOF"},
		{"garbage", hooktest.Garbage(), "malformed"},
	}
	for _, line := range hooktest.MalformedStatusLines() {
		tests = append(tests, struct {
			name  string
			fault hooktest.Fault
			says  string
		}{line, hooktest.Raw(line), ""})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			patience := time.Minute
			if tt.says == "deadline exceeded" {
				patience = 2 * time.Second
			}
			resp, _, err := met(t, tt.fault, patience)
			if resp.status != 0 || err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("answer %+v, error %v", resp, err)
			}
		})
	}
}

func TestAResetIsAReset(t *testing.T) {
	if _, _, err := met(t, hooktest.Reset(), time.Minute); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v", err)
	}
}

func TestAFlakyReceiverMeetsTheShareWithEachOfItsFaults(t *testing.T) {
	r := &hooktest.Receiver{NoReplica: true}
	r.Set(hooktest.Flaky(0.5, 7, hooktest.Status(500), hooktest.Status(503)))
	client, url := plain(t, nil), serve(t, r).URL
	seen := map[int]int{}
	for range 60 {
		resp, _, err := get(t, client, url)
		if err != nil {
			t.Fatal(err)
		}
		seen[resp.status]++
	}
	if len(seen) != 3 || seen[200] < 15 || seen[200] > 45 || seen[500] < 3 || seen[503] < 3 {
		t.Errorf("answers %v", seen)
	}
}

func TestNoTransientFaultTakesTheEventOrLooksLikeASuccess(t *testing.T) {
	for i, f := range hooktest.Transient() {
		r := &hooktest.Receiver{NoReplica: true}
		r.Set(f)
		resp, _, err := get(t, plain(t, nil), serve(t, r).URL)
		if err == nil && (resp.status < 300 || resp.status == 410 || resp.status == 400 || resp.status == 413) {
			t.Errorf("fault %d answers %d", i, resp.status)
		}
		if r.Replica.Report().Events != 0 {
			t.Errorf("fault %d took the event", i)
		}
	}
}

// authority and its certificates are made once per test: keys of P-256 are cheap.
func authority(t *testing.T) *hooktest.Authority {
	t.Helper()
	a, err := hooktest.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *hooktest.Authority, name string, valid time.Duration) *hooktest.Certificate {
	t.Helper()
	c, err := a.Issue(name, time.Now().Add(valid))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serveTLS(t *testing.T, o hooktest.TLSOptions) string {
	t.Helper()
	s, err := hooktest.ServeTLS(t.Context(), "127.0.0.1:0", &hooktest.Receiver{NoReplica: true}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.URL
}

func TestReceiversWithBadCertificatesAreRefused(t *testing.T) {
	ca, other := authority(t), authority(t)
	trusting := &tls.Config{RootCAs: ca.Pool, MinVersion: tls.VersionTLS12}
	tests := []struct {
		name string
		o    hooktest.TLSOptions
		is   func(error) bool
	}{
		{"good", hooktest.TLSOptions{Certificate: issue(t, ca, "127.0.0.1", time.Hour)}, func(err error) bool { return err == nil }},
		{"expired", hooktest.TLSOptions{Certificate: issue(t, ca, "127.0.0.1", -time.Hour)}, func(err error) bool {
			invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
			return ok && invalid.Reason == x509.Expired
		}},
		{"wrong host", hooktest.TLSOptions{Certificate: issue(t, ca, "other.example", time.Hour)}, func(err error) bool {
			_, ok := errors.AsType[x509.HostnameError](err)
			return ok
		}},
		{"unknown authority", hooktest.TLSOptions{Certificate: issue(t, other, "127.0.0.1", time.Hour)}, func(err error) bool {
			_, ok := errors.AsType[x509.UnknownAuthorityError](err)
			return ok
		}},
		{
			"client certificate required",
			hooktest.TLSOptions{Certificate: issue(t, ca, "127.0.0.1", time.Hour), Clients: ca, OnlyHTTP1: true},
			func(err error) bool { // the server says why and closes; a client that is still writing may see the latter only
				return err != nil && strings.Contains(err.Error(), "certificate required") || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
			},
		},
		{
			"old version",
			hooktest.TLSOptions{Certificate: issue(t, ca, "127.0.0.1", time.Hour), MaxVersion: tls.VersionTLS11},
			func(err error) bool { return err != nil && strings.Contains(err.Error(), "protocol version") },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := get(t, plain(t, trusting), serveTLS(t, tt.o)); !tt.is(err) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAClientWithTheRightCertificateIsLetIn(t *testing.T) {
	ca := authority(t)
	mine := issue(t, ca, "deltahook", time.Hour)
	pair, err := tls.X509KeyPair(mine.PEM, mine.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	url := serveTLS(t, hooktest.TLSOptions{Certificate: issue(t, ca, "127.0.0.1", time.Hour), Clients: ca})
	resp, _, err := get(t, plain(t, &tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}), url)
	if err != nil || resp.status != http.StatusOK || resp.proto != "HTTP/2.0" {
		t.Errorf("%+v, %v", resp, err)
	}
}
