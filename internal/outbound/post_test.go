package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/deltahook/deltahook/internal/setting"
)

// T20, T21: private networks are where receivers live; where clouds hand out credentials, none does.
func TestT20T21TheEgressPolicyRefusesMetadataAddressesInEachSpelling(t *testing.T) {
	tests := []struct {
		address string
		blocked bool
	}{
		{"127.0.0.1:80", false},
		{"10.1.2.3:443", false},
		{"192.168.0.1:443", false},
		{"100.64.0.1:443", false},
		{"8.8.8.8:443", false},
		{"[::1]:80", false},
		{"[fd00:1234::1]:443", false},
		{"[2606:4700::1111]:443", false},
		{"[64:ff9b::808:808]:443", false},
		{"169.254.169.254:80", true},
		{"169.254.170.2:80", true},
		{"[fe80::1%eth0]:80", true},
		{"[::ffff:169.254.169.254]:80", true},
		{"[64:ff9b::a9fe:a9fe]:80", true},
		{"[2002:a9fe:a9fe::1]:80", true},
		{"[::a9fe:a9fe]:80", true},
		{"[fd00:ec2::254]:80", true},
		{"[fd20:ce::254]:80", true},
		{"100.100.100.200:80", true},
		{"192.0.0.192:80", true},
		{"168.63.129.16:80", true},
		{"not an address", true},
	}
	for _, tt := range tests {
		err := Egress{}.control("tcp", tt.address, nil)
		if errors.Is(err, ErrBlockedAddress) != tt.blocked {
			t.Errorf("%s: %v", tt.address, err)
		}
		if err := (Egress{Policy: AnyAddress}).control("tcp", tt.address, nil); err != nil {
			t.Errorf("%s under any: %v", tt.address, err)
		}
	}
}

// T20: where only the internet is allowed, no spelling of any other address is.
func TestT20OnlyPublicAddressesMeansThoseOfTheInternet(t *testing.T) {
	e, err := ParseEgress(PublicOnly, []string{"10.9.0.0/16", "fd00:9::/32"})
	if err != nil {
		t.Fatal(err)
	}
	refused := []string{
		"0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1",
		"192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
		"::", "::1", "::7f00:1", "::ffff:10.1.2.3", "::ffff:127.0.0.1", "64:ff9b::a01:203", "64:ff9b::7f00:1", "64:ff9b:1::808:808", "100::1",
		"2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "2002:a01:203::1", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1",
		"fd00:ec2::254", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1",
	}
	for _, text := range refused {
		if err := e.Check(netip.MustParseAddr(text)); !errors.Is(err, ErrBlockedAddress) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"8.8.8.8", "1.1.1.1", "100.128.0.1", "172.32.0.1", "192.167.1.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808", "::ffff:8.8.8.8",
		"10.9.1.2", "::ffff:10.9.1.2", "64:ff9b::a09:102", "fd00:9::1",
	} {
		if err := e.Check(netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAnEgressPolicyThatIsWrittenWrongSaysSo(t *testing.T) {
	for _, tt := range []struct {
		policy string
		allow  []string
	}{{"public", nil}, {PublicOnly, []string{"10.0.0.0/33"}}, {PublicOnly, []string{"example.com"}}, {"", []string{""}}} {
		if _, err := ParseEgress(tt.policy, tt.allow); setting.Hint(err) == "" {
			t.Errorf("%q %q: %v", tt.policy, tt.allow, err)
		}
	}
}

// T20: the check comes after name resolution, so that a name does not get around it.
func TestT20TheAddressIsCheckedWhenItIsDialed(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	poster := NewPoster(PostOptions{})
	defer poster.CloseIdleConnections()
	target := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for address, blocked := range map[string]bool{target: false, "http://[::ffff:169.254.169.254]/": true} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := poster.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if errors.Is(err, ErrBlockedAddress) != blocked {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAPosterFailsForABoundedSetOfReasons(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	tests := []struct {
		err  error
		want string
	}{
		{dial(&net.DNSError{Err: "no such host", Name: "nowhere.example", IsNotFound: true}), FaultDNS},
		{dial(&net.DNSError{Err: "i/o timeout", Name: "slow.example", IsTimeout: true}), FaultDNS},
		{dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), FaultConnect},
		{dial(os.ErrDeadlineExceeded), FaultConnect},
		{dial(fmt.Errorf("%w: x", ErrBlockedAddress)), FaultBlocked},
		{&net.OpError{Op: "proxyconnect", Err: dial(syscall.ECONNREFUSED)}, FaultProxy},
		{context.DeadlineExceeded, FaultTimeout},
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), FaultTimeout},
		{&tls.CertificateVerificationError{Err: errors.New("expired")}, FaultTLS},
		{errors.New("net/http: TLS handshake timeout"), FaultTLS},
		{errors.New("remote error: tls: certificate required"), FaultTLS},
		{io.EOF, FaultClosed},
		{io.ErrUnexpectedEOF, FaultClosed},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, FaultClosed},
		{&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, FaultClosed},
		{errors.New("malformed HTTP response"), FaultProtocol},
	}
	for _, tt := range tests {
		wrapped := &url.Error{Op: "Post", URL: "https://x.example/?token=abc", Err: tt.err}
		reason, text := PostFault(wrapped)
		if reason != tt.want || text == "" || strings.Contains(text, "token") {
			t.Errorf("%v: %s %q, want %s", tt.err, reason, text, tt.want)
		}
		if closed := strings.HasPrefix(text, "the connection was closed before an answer came: "); closed != (tt.want == FaultClosed) {
			t.Errorf("%v: %q", tt.err, text)
		}
	}
}

// T16: as many connections are kept as there are attempts at a time; nothing is decompressed; there is no hidden time limit.
func TestT16APosterIsMadeForItsWebhook(t *testing.T) {
	p := NewPoster(PostOptions{MaxInFlight: 32})
	if p.MaxIdleConnsPerHost != 32 || !p.DisableCompression || p.Proxy != nil || p.TLSClientConfig.MinVersion != tls.VersionTLS12 {
		t.Errorf("transport %+v", p)
	}
	own := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: "x"}
	if p := NewPoster(PostOptions{TLS: own}); p.TLSClientConfig == own || p.TLSClientConfig.ServerName != "x" {
		t.Error("the TLS configuration was not cloned")
	}
}
