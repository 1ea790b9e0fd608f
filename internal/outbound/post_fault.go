package outbound

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// The reasons why a delivery got no status line.
const (
	FaultDNS      = "dns"
	FaultConnect  = "connect"
	FaultTLS      = "tls"
	FaultTimeout  = "timeout"
	FaultClosed   = "closed" // the connection ended before the status line
	FaultProxy    = "proxy"
	FaultBlocked  = "blocked_ip"
	FaultUnready  = "unready"  // nothing was sent: a certificate or a secret of our own is missing
	FaultProtocol = "protocol" // anything else, like an answer that is not HTTP
)

// PostFault tells why a request of a poster failed: a bounded reason and a text for people. The text has no URL in it, but
// may have what the other side sent: the caller redacts it.
func PostFault(err error) (reason, text string) {
	err = innermost(err)
	if reason, text = postReason(err), err.Error(); reason == FaultClosed {
		text = "the connection was closed before an answer came: " + text
	}
	return reason, text
}

func postReason(err error) string {
	op, isOp := errors.AsType[*net.OpError](err)
	_, unready := errors.AsType[*UnreadyError](err)
	_, isLate := errors.AsType[*timeoutError](err)
	_, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, ErrBlockedAddress):
		return FaultBlocked
	case unready:
		return FaultUnready
	case proxyFailure(err) != "":
		return FaultProxy
	case isDNS:
		return FaultDNS
	case isLate, errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded) && !isOp:
		return FaultTimeout
	case isOp && op.Op == "dial":
		return FaultConnect
	case isTLS(err), isTLSFault(err):
		return FaultTLS
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed), isLostHTTP2(err):
		return FaultClosed
	}
	return FaultProtocol
}

func isTLSFault(err error) bool {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	return strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "TLS handshake timeout")
}

// isLostHTTP2 says that an HTTP/2 connection ended under a request. The errors of net/http for that have no name.
func isLostHTTP2(err error) bool {
	text := err.Error()
	return strings.Contains(text, "http2: client conn") || strings.Contains(text, "http2: server sent GOAWAY")
}
