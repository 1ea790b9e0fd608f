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
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
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
		err := NoMetadata.control("tcp", tt.address, nil)
		if errors.Is(err, ErrBlockedAddress) != tt.blocked {
			t.Errorf("%s: %v", tt.address, err)
		}
		if err := AnyAddress.control("tcp", tt.address, nil); err != nil {
			t.Errorf("%s under any: %v", tt.address, err)
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
