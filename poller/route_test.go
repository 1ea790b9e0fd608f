package poller

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// shown is a server behind TLS that asks for the certificate of the client and remembers whose it was.
func shown(t *testing.T, a *hooktest.Authority, seen *[]string, next func() string) *httptest.Server {
	t.Helper()
	cert, err := a.Issue("127.0.0.1", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert.PEM, cert.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		who := "nobody"
		if len(q.TLS.PeerCertificates) > 0 {
			who = q.TLS.PeerCertificates[0].Subject.CommonName
		}
		*seen = append(*seen, who)
		if to := next(); to != "" {
			w.Header().Set("Link", "<"+to+`>; rel="next"`)
		}
		fmt.Fprintf(w, `[{"id":%q}]`, q.Host)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestT15TheCertificateOfTheClientIsShownToTheOriginOnly(t *testing.T) {
	a, err := hooktest.NewAuthority("of the test")
	if err != nil {
		t.Fatal(err)
	}
	client, err := a.Issue("ann", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{"ca.pem": a.PEM, "client.pem": append(client.PEM, client.KeyPEM...)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var home, elsewhere []string
	other := shown(t, a, &elsewhere, func() string { return "" })
	origin := shown(t, a, &home, func() string { return other.URL + "/page2" })
	r := newRig(t, nil, func(s *Source) {
		s.URL, s.Pages.Kind, s.AllowedHosts = origin.URL+"/contacts", "link", []string{strings.TrimPrefix(other.URL, "https://")}
		s.TLS.CA, s.TLS.Cert = setting.File(filepath.Join(dir, "ca.pem")), setting.File(filepath.Join(dir, "client.pem"))
	})
	if got := r.want(Complete); got.Records != 2 {
		t.Errorf("%d records: %s", got.Records, got.Message)
	}
	if fmt.Sprint(home, elsewhere) != "[ann] [nobody]" {
		t.Errorf("the origin saw %q, another host %q", home, elsewhere)
	}
}

// answering is a transport without a network.
type answering func(q *http.Request) *http.Response

func (a answering) RoundTrip(q *http.Request) (*http.Response, error) {
	resp := a(q)
	resp.Request = q
	return resp, nil
}

// One worker is enough for two hosts: the poll that waits for the one does not keep the other waiting.
func TestAPollThatWaitsForItsHostOccupiesNoWorker(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := map[string]time.Duration{}
		began := time.Now()
		transport := answering(func(q *http.Request) *http.Response {
			mu.Lock()
			defer mu.Unlock()
			_, again := asked[q.URL.Host]
			asked[q.URL.Host] = time.Since(began)
			resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`[{"id":1}]`)), ContentLength: 10}
			if q.URL.Host == "slow.example.com" && !again {
				resp.StatusCode = http.StatusTooManyRequests
				resp.Header.Set("Retry-After", "8")
			}
			return resp
		})
		o := Options{Ledger: newMemLedger(), Outlet: &memOutlet{}, Workers: 1, TempDir: t.TempDir(), Secrets: &setting.Secrets{}}.withDefaults()
		hosts := outbound.NewHosts(nil)
		s := newScheduler(o, func(source *Source) (polls, error) {
			p, err := New(*source, o)
			if err != nil {
				return nil, err
			}
			patience := source.patience()
			p.client = outbound.NewClient(outbound.Options{
				Target: p.requests.target, Transport: hosts.Gate(transport, outbound.GateOptions{Retry: patience}), Retry: patience,
			})
			return p, nil
		})
		for _, name := range []string{"slow", "swift"} {
			source := DefaultSource()
			source.Name, source.URL, source.Every, source.Single = name, "http://"+name+".example.com/", setting.Duration(time.Hour), false
			source.Key = paths("id")
			if err := s.Add(&source); err != nil {
				t.Fatal(err)
			}
		}
		s.Start(t.Context())
		time.Sleep(20 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if asked["swift.example.com"] > time.Second || asked["slow.example.com"] < 8*time.Second {
			t.Errorf("asked after %v", asked)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
