package outbound

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deltahook/deltahook/internal/setting"
)

const proxyPassword = "p@ss/word:planted"

// proxy is an HTTP proxy that wants a password and opens tunnels.
type proxy struct {
	t       *testing.T
	passed  atomic.Int64
	refused atomic.Int64
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+proxyPassword))
	if got := q.Header.Get("Proxy-Authorization"); got != want {
		p.refused.Add(1)
		http.Error(w, "who is "+got, http.StatusProxyAuthRequired)
		return
	}
	p.passed.Add(1)
	if q.Method != http.MethodConnect {
		_, _ = w.Write([]byte("through the proxy"))
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.t.Error(err)
		return
	}
	_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	p.join(conn, buffered.Reader, q.Host)
}

// join copies bytes between a connection and an address until one of both ends.
func (p *proxy) join(conn net.Conn, from io.Reader, address string) {
	defer func() { _ = conn.Close() }()
	far, err := net.Dial("tcp", address)
	if err != nil {
		p.t.Error(err)
		return
	}
	defer func() { _ = far.Close() }()
	go func() { _, _ = io.Copy(far, from); _ = far.Close() }()
	_, _ = io.Copy(conn, far)
}

func TestAProxyIsUsedWithItsCredentials(t *testing.T) {
	f := files{t, t.TempDir()}
	f.write("password", []byte(proxyPassword+"\n"))
	p := &proxy{t: t}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the server was asked directly") }))
	t.Cleanup(plain.Close)
	behind, authority := tlsServer(t, nil, hello)
	ca := TLS{CA: f.write("ca.pem", authority.PEM)}
	secrets := &setting.Secrets{LookupEnv: func(name string) (string, bool) {
		return (&url.URL{Scheme: "http", User: url.UserPassword("ann", proxyPassword), Host: host}).String(), name == "PROXY"
	}}
	for _, written := range []string{"http://ann:{secret:file:" + f.dir + "/password}@" + host, "env:PROXY"} {
		r := Route{TLS: ca, Proxy: NewProxy(written)}
		if got, err := over(t, plain, r, secrets); err != nil || got != "through the proxy" {
			t.Errorf("%s: %q, %v", written, got, err)
		}
		if got, err := over(t, behind, r, secrets); err != nil || got != "hello" {
			t.Errorf("%s: %q, %v", written, got, err)
		}
		if problems := r.Proxy.Validate(secrets); len(problems) > 0 || r.Proxy.String() != written {
			t.Errorf("%s: %v", r.Proxy, problems)
		}
	}
	if p.passed.Load() != 4 || p.refused.Load() != 0 {
		t.Errorf("%d passed, %d refused", p.passed.Load(), p.refused.Load())
	}
}

func TestAProxyThatRefusesIsNamedWithoutItsPassword(t *testing.T) {
	p := &proxy{t: t}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	s, authority := tlsServer(t, nil, hello)
	f := files{t, t.TempDir()}
	secrets := &setting.Secrets{LookupEnv: func(string) (string, bool) { return "wrong-password-planted", true }}
	r := Route{TLS: TLS{CA: f.write("ca.pem", authority.PEM)}, Proxy: NewProxy("http://ann:{secret:env:X}@" + strings.TrimPrefix(server.URL, "http://"))}
	_, err := over(t, s, r, secrets)
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), "proxy") || strings.Contains(err.Error(), "planted") {
		t.Errorf("got %v", err)
	}
	server.Close()
	_, err = over(t, s, r, secrets)
	if err == nil || !strings.Contains(err.Error(), "proxy") || strings.Contains(err.Error(), "planted") {
		t.Errorf("got %v", err)
	}
}

func TestWhatWasMeantForAProxyNeverGoesDirectly(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked directly") })
	for _, written := range []string{"http://u:{secret:env:NONE}@127.0.0.1:1", "env:NONE", "file:/nowhere", "http://127.0.0.1:1", "socks5://127.0.0.1:1"} {
		_, err := over(t, s, Route{Proxy: NewProxy(written)}, nil)
		if err == nil {
			t.Errorf("%s: no error", written)
		}
	}
}

func TestProxiesThatAreNoneAreExplained(t *testing.T) {
	for written, shown := range map[string]string{
		"htp://x": "", "http://": "", "proxy:3128": "", "http://%zz": "", "ftp://ann:literal-planted@x": "(secret)", "env:NONE": "", "http://a:{secret:env:NONE}@x": "",
	} {
		p := NewProxy(written)
		problems := p.Validate(&setting.Secrets{})
		if len(problems) == 0 || problems[len(problems)-1].Warning || problems[len(problems)-1].Hint == "" {
			t.Errorf("%s: %v", written, problems)
		}
		if text := fmt.Sprint(problems, p); strings.Contains(text, "planted") || !strings.Contains(text, shown) {
			t.Errorf("%s: %s", written, text)
		}
	}
	for _, written := range []string{"", "env", "none", "socks5://127.0.0.1:1080", "https://proxy.example.com", "http://ann@proxy"} {
		if problems := NewProxy(written).Validate(&setting.Secrets{}); len(problems) > 0 {
			t.Errorf("%s: %v", written, problems)
		}
	}
	for _, written := range []string{"http://ann:{secret:env:X}@proxy", "http://{secret:env:X}:{secret:env:X}@proxy", "env:X"} {
		secrets := &setting.Secrets{LookupEnv: func(string) (string, bool) { return "http://a:b@c", true }}
		if p := NewProxy(written); len(p.Validate(secrets)) > 0 || p.HasLiteral() || p.String() != written {
			t.Errorf("%s: %v, shown as %s", written, p.Validate(secrets), p)
		}
	}
	if p := NewProxy("http://ann:literal-planted@proxy").Validate(&setting.Secrets{}); len(p) != 1 || !p[0].Warning {
		t.Errorf("a literal password is not warned of: %v", p)
	}
}

func TestSOCKS5(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	served := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		served <- socks(t, conn)
	}()
	s := serve(t, hello)
	secrets := &setting.Secrets{LookupEnv: func(string) (string, bool) { return proxyPassword, true }}
	r := Route{Proxy: NewProxy("socks5://ann:{secret:env:X}@" + listener.Addr().String()), HTTPVersion: "1.1"}
	if got, err := over(t, s, r, secrets); err != nil || got != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if got := <-served; got != "ann "+proxyPassword {
		t.Errorf("the proxy was told %q", got)
	}
}

// socks is a proxy of RFC 1928 with the user names of RFC 1929 for one connection to an IPv4 address.
func socks(t *testing.T, conn net.Conn) (who string) {
	t.Helper()
	in := bufio.NewReader(conn)
	take := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			t.Error(err)
		}
		return b
	}
	take(int(take(2)[1]))
	_, _ = conn.Write([]byte{5, 2})
	user := string(take(int(take(2)[1])))
	password := string(take(int(take(1)[0])))
	_, _ = conn.Write([]byte{1, 0})
	take(4)
	host := net.IP(take(4)).String()
	port := binary.BigEndian.Uint16(take(2))
	_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	go (&proxy{t: t}).join(conn, in, net.JoinHostPort(host, strconv.Itoa(int(port))))
	return user + " " + password
}
