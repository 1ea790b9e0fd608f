package outbound

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deltahook/deltahook/internal/setting"
)

// files writes texts to a folder and gives their paths.
type files struct {
	t   *testing.T
	dir string
}

func (f files) write(name string, text []byte) setting.File {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return setting.File(path)
}

// tlsServer is an API behind TLS of an authority that nobody knows.
func tlsServer(t *testing.T, edit func(*tls.Config), h http.HandlerFunc) (*httptest.Server, *authority) {
	t.Helper()
	authority := newAuthority(t)
	cert := issue(t, authority, "127.0.0.1")
	pair, err := tls.X509KeyPair(cert.PEM, cert.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	if edit != nil {
		edit(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, authority
}

// over asks a server over a route and gives the error.
func over(t *testing.T, s *httptest.Server, r Route, secrets *setting.Secrets) (string, error) {
	t.Helper()
	transports := NewTransports(secrets)
	t.Cleanup(transports.CloseIdleConnections)
	transport, err := transports.Of(r)
	if err != nil {
		return "", err
	}
	return through(t, s, transport)
}

func through(t *testing.T, s *httptest.Server, transport *http.Transport) (string, error) {
	t.Helper()
	c, q := asking(t, s, func(o *setup) { o.Transport, o.Retry.Attempts = transport, 1 })
	resp, err := c.Do(t.Context(), q)
	if err != nil {
		return "", err
	}
	return text(t, resp), nil
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }

func TestAnAuthorityIsTrustedWhenItIsNamedAndNoOtherThen(t *testing.T) {
	f := files{t, t.TempDir()}
	s, authority := tlsServer(t, nil, hello)
	named := Route{TLS: TLS{CA: f.write("ca.pem", authority.PEM)}}
	if got, err := over(t, s, named, nil); err != nil || got != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	other := Route{TLS: TLS{CA: f.write("other.pem", newAuthority(t).PEM)}}
	for name, r := range map[string]Route{"the system's": {}, "another": other} {
		if _, err := over(t, s, r, nil); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheNameOfAServerCanBeAnotherOneThanItsHost(t *testing.T) {
	f := files{t, t.TempDir()}
	authority := newAuthority(t)
	cert := issue(t, authority, "erp.internal")
	s, _ := tlsServer(t, func(c *tls.Config) {
		pair, err := tls.X509KeyPair(cert.PEM, cert.KeyPEM)
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}, hello)
	r := Route{TLS: TLS{CA: f.write("ca.pem", authority.PEM)}}
	if _, err := over(t, s, r, nil); err == nil {
		t.Error("a certificate for another name was taken")
	}
	if r.TLS.ServerName = "erp.internal"; true {
		if got, err := over(t, s, r, nil); err != nil || got != "hello" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestAnyCertificateWillDoWhenThatIsAskedFor(t *testing.T) {
	s, _ := tlsServer(t, nil, hello)
	r := Route{TLS: TLS{Insecure: true}}
	if got, err := over(t, s, r, nil); err != nil || got != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if p := r.TLS.Validate(&setting.Secrets{}); len(p) != 1 || !p[0].Warning || p[0].Key[0] != "insecure" {
		t.Errorf("it is not warned of: %v", p)
	}
	if e := r.TLS.Elsewhere(); e.Insecure || e.Cert != "" {
		t.Errorf("strangers are trusted: %+v", e)
	}
}

// clients is a server that asks for the certificate of the client and says whose it is.
func clients(t *testing.T) (s *httptest.Server, route Route, show func(name string), f files, asked *atomic.Int64) {
	t.Helper()
	f, asked = files{t, t.TempDir()}, new(atomic.Int64)
	known := newAuthority(t)
	s, authority := tlsServer(t, func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, known.Pool },
		func(w http.ResponseWriter, q *http.Request) {
			asked.Add(1)
			w.Header().Set("Connection", "close")
			_, _ = w.Write([]byte(q.TLS.PeerCertificates[0].Subject.CommonName))
		})
	show = func(name string) {
		c := issue(t, known, name)
		f.write("client.key", c.KeyPEM)
		f.write("client.pem", c.PEM)
	}
	show("ann")
	route = Route{TLS: TLS{
		CA: f.write("ca.pem", authority.PEM), Cert: setting.File(filepath.Join(f.dir, "client.pem")), Key: setting.File(filepath.Join(f.dir, "client.key")),
	}, HTTPVersion: "1.1"}
	return s, route, show, f, asked
}

func TestTheCertificateOfTheClientIsShownAndReadAgainWhenItChanges(t *testing.T) {
	s, route, show, _, _ := clients(t)
	transport, err := NewTransports(nil).Of(route)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ann", "bob-with-a-longer-name"} {
		show(name)
		if got, err := through(t, s, transport); err != nil || got != name {
			t.Errorf("%q, %v; want %s", got, err, name)
		}
	}
	if _, err := over(t, s, Route{TLS: TLS{CA: route.TLS.CA}}, nil); err == nil {
		t.Error("the server takes anybody: the test shows nothing")
	}
}

func TestACertificateThatCannotBeReadFailsTheRequest(t *testing.T) {
	s, route, show, f, asked := clients(t)
	transport, err := NewTransports(nil).Of(route)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(){
		"gone":              func() { _ = os.Remove(filepath.Join(f.dir, "client.key")) },
		"empty":             func() { f.write("client.pem", nil) },
		"not a certificate": func() { f.write("client.pem", []byte("hello")) },
		"another's key":     func() { f.write("client.key", []byte(plainKey)) },
	} {
		show("ann")
		spoil()
		before := asked.Load()
		if got, err := through(t, s, transport); err == nil || asked.Load() != before || !strings.Contains(err.Error(), "client") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	show("ann again")
	if got, err := through(t, s, transport); err != nil || got != "ann again" {
		t.Errorf("it does not recover: %q, %v", got, err)
	}
}

func TestARouteThatCannotBeBuiltIsNoRoute(t *testing.T) {
	f := files{t, t.TempDir()}
	for key, table := range map[string]TLS{
		"ca":           {CA: "/nowhere/ca.pem"},
		"cert":         {Cert: f.write("x.pem", []byte("hello"))},
		"key":          {Cert: f.write("some.pem", newAuthority(t).PEM), Key: f.write("x.key", []byte(aesKey))},
		"key_password": {Cert: f.write("some.pem", newAuthority(t).PEM), Key: f.write("x.key", []byte(aesKey)), KeyPassword: setting.NewSecret("wrong-password")},
		"min_version":  {MinVersion: "3"},
	} {
		p := table.Validate(&setting.Secrets{})
		if len(p) != 1 || p[0].Key[0] != key || p[0].Hint == "" {
			t.Errorf("%s: %v", key, p)
		}
		if strings.Contains(fmt.Sprint(p), "wrong-password") {
			t.Errorf("%s prints a password: %v", key, p)
		}
		if _, err := NewTransports(nil).Of(Route{TLS: table}); err == nil {
			t.Errorf("%s: there is a route", key)
		}
	}
	if p := (&TLS{Key: "x"}).Validate(nil); len(p) != 1 || p[0].Key[0] != "key" {
		t.Errorf("a key alone: %v", p)
	}
	if err := new(setting.File).UnmarshalText([]byte(plainKey)); err == nil || strings.Contains(err.Error(), "MHc") {
		t.Errorf("a key in the configuration: %v", err)
	}
}

func TestEncryptedKeysAreOpened(t *testing.T) {
	block := privateKey([]byte(plainKey))
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	f := files{t, t.TempDir()}
	cert := f.write("cert.pem", certificateOf(t, key))
	for name, text := range map[string]string{"plain": plainKey, "aes": aesKey, "3des": desKey, "old": oldKey} {
		table := TLS{Cert: cert, Key: f.write(name, []byte(text)), KeyPassword: setting.NewSecret(keyPassword)}
		pair, err := table.pair(&setting.Secrets{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, ok := pair.PrivateKey.(*ecdsa.PrivateKey); !ok || !got.Equal(key) {
			t.Errorf("%s: it is another key", name)
		}
		table.KeyPassword = setting.NewSecret("not-it")
		if _, err := table.pair(&setting.Secrets{}); name != "plain" && err == nil {
			t.Errorf("%s opens with any password", name)
		}
	}
	table := TLS{Cert: cert, Key: f.write("scrypt", []byte(scryptKey)), KeyPassword: setting.NewSecret(keyPassword)}
	if _, err := table.pair(&setting.Secrets{}); err == nil || !strings.Contains(setting.Hint(err), "openssl") {
		t.Errorf("scrypt: %v", err)
	}
}

func TestServersOfTheTimeBeforeTLS12AreReachedOnRequestOnly(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := certificateOf(t, key)
	pair := tls.Certificate{Certificate: [][]byte{decodePEM(cert)}, PrivateKey: key}
	f := files{t, t.TempDir()}
	ca := f.write("ca.pem", cert)
	for name, edit := range map[string]func(*tls.Config){
		"TLS 1.0": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 },
		"TLS 1.1": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 },
		"RSA key exchange": func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
		},
		"3DES and RSA in 1.2": func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}
		},
		"RC4, if it has to be": func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}
		},
	} {
		s, _ := tlsServer(t, func(c *tls.Config) { edit(c); c.Certificates = []tls.Certificate{pair} }, hello)
		if _, err := over(t, s, Route{TLS: TLS{CA: ca}}, nil); err == nil {
			t.Errorf("%s is allowed without being asked for", name)
		}
		old := TLS{CA: ca, MinVersion: "1.0"}
		if got, err := over(t, s, Route{TLS: old}, nil); err != nil || got != "hello" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if p := old.Validate(&setting.Secrets{}); len(p) != 1 || !p[0].Warning {
			t.Errorf("it is not warned of: %v", p)
		}
	}
}

func TestEqualRoutesShareATransport(t *testing.T) {
	f := files{t, t.TempDir()}
	p := NewTransports(nil)
	ca := f.write("ca.pem", newAuthority(t).PEM)
	of := func(r Route) *http.Transport {
		t.Helper()
		got, err := p.Of(r)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := of(Route{TLS: TLS{CA: ca}})
	if of(Route{TLS: TLS{CA: ca}}) != first {
		t.Error("equal routes have two transports")
	}
	for _, other := range []Route{{}, {TLS: TLS{CA: ca, MinVersion: "1.3"}}, {TLS: TLS{CA: ca}, Proxy: NewProxy("none")}, {TLS: TLS{CA: ca}, HTTPVersion: "1.1"}} {
		if of(other) == first {
			t.Errorf("%+v shares the transport of another route", other)
		}
	}
	f.write("ca.pem", bytes.Join([][]byte{newAuthority(t).PEM, newAuthority(t).PEM}, nil))
	if of(Route{TLS: TLS{CA: ca}}) == first {
		t.Error("new authorities in the same file are not seen")
	}
}

func TestHTTP2IsLeftOutOnRequest(t *testing.T) {
	f := files{t, t.TempDir()}
	s, authority := tlsServer(t, func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }, func(w http.ResponseWriter, q *http.Request) { _, _ = w.Write([]byte(q.Proto)) })
	ca := TLS{CA: f.write("ca.pem", authority.PEM)}
	for version, want := range map[string]string{"": "HTTP/2.0", "1.1": "HTTP/1.1"} {
		if got, err := over(t, s, Route{TLS: ca, HTTPVersion: version}, nil); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %s", version, got, err, want)
		}
	}
}
