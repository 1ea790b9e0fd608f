package emitter_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// tlsRig is a receiver that speaks TLS, and a sender that is made of the webhook's keys.
type tlsRig struct {
	*rig

	ca  *hooktest.Authority
	dir string
}

func newTLSRig(t *testing.T, edit func(*tlsRig, *hooktest.TLSOptions)) *tlsRig {
	t.Helper()
	ca, err := hooktest.NewAuthority("receivers")
	if err != nil {
		t.Fatal(err)
	}
	r := &tlsRig{rig: newRig(t), ca: ca, dir: t.TempDir()}
	o := hooktest.TLSOptions{Certificate: r.issue(t, ca, "127.0.0.1", time.Hour)}
	r.webhook.TLS.CA = setting.File(r.file(t, "ca.pem", ca.PEM))
	if edit != nil {
		edit(r, &o)
	}
	server, err := hooktest.ServeTLS(t.Context(), "127.0.0.1:0", r.Receiver, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r.webhook.URL = server.URL + "/hooks"
	return r
}

func (r *tlsRig) issue(t *testing.T, ca *hooktest.Authority, name string, valid time.Duration) *hooktest.Certificate {
	t.Helper()
	c, err := ca.Issue(name, time.Now().Add(valid))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *tlsRig) file(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// shows gives the webhook a client certificate of this authority.
func (r *tlsRig) shows(t *testing.T, ca *hooktest.Authority) {
	t.Helper()
	mine := r.issue(t, ca, "deltahook", time.Hour)
	r.webhook.TLS.Cert = setting.File(r.file(t, "client.pem", mine.PEM))
	r.webhook.TLS.Key = setting.File(r.file(t, "client.key", mine.KeyPEM))
}

// made is a sender over the connections of the webhook's keys.
func made(t *testing.T, r *rig) *emitter.Sender {
	t.Helper()
	transport, err := emitter.NewTransport(&r.webhook, r.secrets)
	if err != nil {
		t.Fatal(err)
	}
	return over(t, r, transport)
}

func over(t *testing.T, r *rig, transport *http.Transport) *emitter.Sender {
	t.Helper()
	t.Cleanup(transport.CloseIdleConnections)
	s, err := emitter.NewSender(emitter.SenderOptions{Webhook: r.webhook, Secrets: r.secrets, Transport: transport, Version: "1.0"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAReceiversCertificateHasToBeGood(t *testing.T) {
	tests := []struct {
		name string
		edit func(*tlsRig, *hooktest.TLSOptions)
		says string
	}{
		{"good", nil, ""},
		{"expired", func(r *tlsRig, o *hooktest.TLSOptions) { o.Certificate = r.issue(t, r.ca, "127.0.0.1", -time.Minute) }, "expired"},
		{"for another host", func(r *tlsRig, o *hooktest.TLSOptions) { o.Certificate = r.issue(t, r.ca, "other.example", time.Hour) }, "cannot validate certificate for 127.0.0.1"},
		{"unknown authority", func(r *tlsRig, _ *hooktest.TLSOptions) { r.webhook.TLS.CA = "" }, "unknown authority"},
		{"the name that is expected", func(r *tlsRig, o *hooktest.TLSOptions) {
			o.Certificate = r.issue(t, r.ca, "app.internal", time.Hour)
			r.webhook.TLS.ServerName = "app.internal"
		}, ""},
		{"too old", func(r *tlsRig, o *hooktest.TLSOptions) { o.MaxVersion = 0x0302 }, "protocol version"},
		{"older than is wanted", func(r *tlsRig, o *hooktest.TLSOptions) { o.MaxVersion, r.webhook.TLS.MinVersion = 0x0303, "1.3" }, "protocol version"},
		{"any certificate", func(r *tlsRig, o *hooktest.TLSOptions) {
			o.Certificate = r.issue(t, r.ca, "other.example", -time.Minute)
			r.webhook.TLS.Insecure = true
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newTLSRig(t, tt.edit)
			o := made(t, r.rig).Send(t.Context(), delivery(1, "k"))
			if tt.says == "" && o.Class != emitter.Delivered {
				t.Errorf("outcome %+v", o)
			}
			if tt.says != "" && (o.Class != emitter.Failed || o.Reason != outbound.FaultTLS || !strings.Contains(o.Error, tt.says) || r.Count() != 0) {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// D8: mutual TLS fails closed, at the start and later, and never goes on without the certificate.
func TestD8NothingIsSentWithoutTheClientCertificate(t *testing.T) {
	r := newTLSRig(t, func(r *tlsRig, o *hooktest.TLSOptions) { o.Clients = r.ca })
	// The server says why and closes; a client that is still writing may see the latter only.
	says := []string{outbound.FaultTLS, outbound.FaultClosed}
	if o := made(t, r.rig).Send(t.Context(), delivery(1, "k")); o.Class != emitter.Failed || !slices.Contains(says, o.Reason) || r.Count() != 0 {
		t.Fatalf("without a certificate: %+v", o)
	}
	r.webhook.TLS.Cert, r.webhook.TLS.Key = setting.File(filepath.Join(r.dir, "client.pem")), setting.File(filepath.Join(r.dir, "client.key"))
	if _, err := emitter.NewTransport(&r.webhook, r.secrets); err == nil {
		t.Error("a webhook whose certificate is missing can be started")
	}
	if len(r.webhook.Validate(r.secrets)) == 0 {
		t.Error("check has nothing to say about a missing certificate")
	}
	r.shows(t, r.ca)
	transport, err := emitter.NewTransport(&r.webhook, r.secrets)
	if err != nil {
		t.Fatal(err)
	}
	s := over(t, r.rig, transport)
	if o := s.Send(t.Context(), delivery(1, "k")); o.Class != emitter.Delivered {
		t.Fatalf("with the certificate: %+v", o)
	}
	if err := os.Remove(string(r.webhook.TLS.Cert)); err != nil {
		t.Fatal(err)
	}
	transport.CloseIdleConnections()
	if o := s.Send(t.Context(), delivery(2, "k")); o.Class != emitter.Withheld || o.Reason != outbound.FaultUnready || r.Count() != 1 {
		t.Errorf("the certificate is gone: %+v", o)
	}
}

func TestAChangedClientCertificateCountsForTheNextConnection(t *testing.T) {
	r := newTLSRig(t, func(r *tlsRig, o *hooktest.TLSOptions) { o.Clients, o.OnlyHTTP1 = r.ca, true })
	other, err := hooktest.NewAuthority("somebody else")
	if err != nil {
		t.Fatal(err)
	}
	r.shows(t, other)
	s := made(t, r.rig)
	says := []string{outbound.FaultTLS, outbound.FaultClosed} // see above
	if o := s.Send(t.Context(), delivery(1, "k")); o.Class != emitter.Failed || !slices.Contains(says, o.Reason) || r.Count() != 0 {
		t.Fatalf("a certificate of another authority: %+v", o)
	}
	r.shows(t, r.ca)
	if o := s.Send(t.Context(), delivery(1, "k")); o.Class != emitter.Delivered {
		t.Errorf("the new certificate: %+v", o)
	}
}

// tunnels is a proxy that connects wherever it is asked to: CONNECT for https, absolute URLs for http.
type tunnels struct {
	count atomic.Int64
	auth  string
	where atomic.Value
}

func (p *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.count.Add(1)
	p.where.Store(r.Host)
	if p.auth != "" && r.Header.Get("Proxy-Authorization") != p.auth {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		http.Error(w, "only tunnels", http.StatusNotImplemented)
		return
	}
	up, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = up.Close() }()
	down, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = down.Close() }()
	_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(up, down) }()
	_, _ = io.Copy(down, up)
}

func proxied(t *testing.T, r *rig, p *tunnels, text string) {
	t.Helper()
	server, err := hooktest.Serve(t.Context(), "127.0.0.1:0", p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r.webhook.Proxy = outbound.NewProxy(strings.ReplaceAll(text, "HOST", strings.TrimPrefix(server.URL, "http://")))
}

func TestADeliveryGoesThroughItsProxy(t *testing.T) {
	r := newTLSRig(t, nil)
	p := &tunnels{auth: "Basic YW5uOnBhc3Mtd29yZA=="}
	env := map[string]string{"PROXY_PASSWORD": "pass-word"}
	r.secrets = &setting.Secrets{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	proxied(t, r.rig, p, "http://ann:{secret:env:PROXY_PASSWORD}@HOST")
	if o := made(t, r.rig).Send(t.Context(), delivery(1, "k")); o.Class != emitter.Delivered || p.count.Load() != 1 {
		t.Errorf("%d requests to the proxy, outcome %+v", p.count.Load(), o)
	}
	env["PROXY_PASSWORD"] = "wrong-word"
	if o := made(t, r.rig).Send(t.Context(), delivery(2, "k")); o.Class != emitter.Failed || o.Reason != outbound.FaultProxy || strings.Contains(o.Error, "wrong-word") {
		t.Errorf("a proxy that refuses: %+v", o)
	}
	delete(env, "PROXY_PASSWORD")
	if o := made(t, r.rig).Send(t.Context(), delivery(3, "k")); o.Class != emitter.Withheld || o.Reason != outbound.FaultUnready || r.Count() != 1 {
		t.Errorf("a proxy whose secret is gone: %+v", o)
	}
}

// T20, T21: by default a receiver may be next door; where only the internet is allowed, it may not, by whatever name.
func TestT20T21EgressDecidesWhereADeliveryGoes(t *testing.T) {
	tests := []struct {
		egress, host string
		allow        []string
		class        emitter.Class
	}{
		{"no_metadata", "127.0.0.1", nil, emitter.Delivered},
		{"any", "127.0.0.1", nil, emitter.Delivered},
		{"public_only", "127.0.0.1", nil, emitter.Failed},
		{"public_only", "localhost", nil, emitter.Failed},
		{"public_only", "[::ffff:127.0.0.1]", nil, emitter.Failed},
		{"public_only", "127.0.0.1", []string{"127.0.0.0/8"}, emitter.Delivered},
		{"public_only", "[::ffff:127.0.0.1]", []string{"127.0.0.1"}, emitter.Delivered},
	}
	for _, tt := range tests {
		r := newRig(t)
		r.webhook.URL = strings.Replace(r.webhook.URL, "127.0.0.1", tt.host, 1)
		r.webhook.Egress, r.webhook.EgressAllow = tt.egress, tt.allow
		o := made(t, r).Send(t.Context(), delivery(1, "k"))
		if o.Class != tt.class || o.Class == emitter.Failed && (o.Reason != outbound.FaultBlocked || r.Count() != 0) {
			t.Errorf("%s, %s, %v: %+v", tt.egress, tt.host, tt.allow, o)
		}
	}
}

// Behind a proxy egress is checked for the proxy, which is the one that connects; that is said where it is configured.
func TestT20EgressIsCheckedForTheAddressOfTheProxy(t *testing.T) {
	r := newTLSRig(t, nil)
	r.webhook.Egress = "public_only"
	p := &tunnels{}
	proxied(t, r.rig, p, "http://HOST")
	if o := made(t, r.rig).Send(t.Context(), delivery(1, "k")); o.Class != emitter.Failed || o.Reason != outbound.FaultBlocked || p.count.Load() != 0 {
		t.Errorf("a private proxy was used: %+v", o)
	}
	r.webhook.EgressAllow = []string{"127.0.0.1"}
	if o := made(t, r.rig).Send(t.Context(), delivery(1, "k")); o.Class != emitter.Delivered || p.count.Load() != 1 {
		t.Errorf("an allowed proxy was not used: %+v", o)
	}
}
