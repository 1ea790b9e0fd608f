package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// Error is a request that got no usable answer. Its text never has a query, user information or a secret in it.
type Error struct {
	Reason   string // bounded: dns, connect, tls, timeout, cut, too_large, redirect, origin, encoding, request, network, proxy
	Message  string // for people
	Status   int    // of the answer whose body failed; 0: no status line came
	Attempts int
	cause    error
}

// Error gives the message.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause, for errors.Is; its text may have secrets in it and must not be printed.
func (e *Error) Unwrap() error { return e.cause }

// UnreadyError says that nothing was sent because something of our own is missing: a certificate, or the secret of a proxy.
type UnreadyError struct{ cause error }

// Error gives the cause.
func (e *UnreadyError) Error() string { return e.cause.Error() }

// Unwrap gives the cause.
func (e *UnreadyError) Unwrap() error { return e.cause }

// DeferredError says that a host has to be left alone for longer than a poll may wait.
type DeferredError struct {
	Status   int    // of the answer that said so; 0: it is a limit of our own
	Host     string // that was not asked; empty: it was, and this was its answer
	Why      string // it was not asked
	Wait     time.Duration
	Until    time.Time
	Attempts int
}

// Error tells what the server asked for, or why it is left alone.
func (e *DeferredError) Error() string {
	if e.Host != "" {
		return fmt.Sprintf("%s is left alone for %s: %s", e.Host, e.Wait.Round(time.Second), e.Why)
	}
	return fmt.Sprintf("the server answered %d and asks to wait %s", e.Status, e.Wait.Round(time.Second))
}

// failure turns what the engine returned into an error for people.
func (c *Client) failure(ctx context.Context, t *trip, err error) error {
	if deferred, ok := errors.AsType[*DeferredError](err); ok {
		deferred.Attempts = t.attempts
		if deferred.Host != "" {
			deferred.Attempts-- // the last one was not sent
		}
		return deferred
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	reason, message := c.describe(err)
	if t.attempts > 1 {
		message += fmt.Sprintf(" (%d attempts)", t.attempts)
	}
	return &Error{Reason: reason, Message: message, Attempts: t.attempts, cause: err}
}

// bodyFailure does the same for an error while a body was read.
func (c *Client) bodyFailure(err error) error {
	if ours, ok := errors.AsType[*Error](err); ok {
		return ours
	}
	if late, ok := errors.AsType[*timeoutError](err); ok {
		return &Error{Reason: "timeout", Message: "timed out after " + late.after.String() + " while reading the answer", cause: err}
	}
	if coding, ok := errors.AsType[*encodingError](err); ok && !coding.truncated {
		return &Error{Reason: "encoding", Message: coding.Error(), cause: err}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Reason: "cut", Message: "the answer was cut off: the connection ended before the announced end", cause: err}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	_, message := c.describe(err)
	return &Error{Reason: "cut", Message: "the answer broke off: " + message, cause: err}
}

// describe gives a bounded reason and a sentence. The texts of net and crypto are kept where they help; the address, which
// may have secrets in its query, is dropped with the url.Error around them.
func (c *Client) describe(err error) (reason, message string) {
	inner := innermost(err)
	if ours, ok := errors.AsType[*Error](inner); ok {
		return ours.Reason, ours.Message
	}
	host := c.opts.Target.URL.Host
	if c.opts.Target.Socket != "" {
		host = "unix:" + c.opts.Target.Socket
	}
	if text := proxyFailure(inner); text != "" {
		return "proxy", text
	}
	if dns, ok := errors.AsType[*net.DNSError](inner); ok {
		return "dns", "cannot find the host " + dns.Name + ": " + strings.TrimSpace(dns.Err)
	}
	if late, ok := errors.AsType[*timeoutError](inner); ok {
		return "timeout", host + " did not answer within " + late.after.String()
	}
	switch {
	case errors.Is(inner, os.ErrDeadlineExceeded), errors.Is(inner, context.DeadlineExceeded):
		return "timeout", host + " did not answer in time"
	case errors.Is(inner, syscall.ECONNREFUSED):
		return "connect", "connection refused by " + host
	case errors.Is(inner, syscall.ECONNRESET):
		return "network", "connection reset by " + host
	case errors.Is(inner, io.EOF), errors.Is(inner, io.ErrUnexpectedEOF):
		return "network", host + " closed the connection without an answer"
	case isTLS(inner):
		return "tls", "TLS with " + host + " failed: " + c.opts.Redact(inner.Error())
	}
	if op, ok := errors.AsType[*net.OpError](inner); ok && op.Op == "dial" {
		return "connect", "cannot connect to " + host + ": " + c.opts.Redact(op.Err.Error())
	}
	return "network", "asking " + host + " went wrong: " + c.opts.Redact(inner.Error())
}

// innermost drops the url.Error layers, whose text repeats the whole URL.
func innermost(err error) error {
	for {
		u, ok := errors.AsType[*url.Error](err)
		if !ok {
			return err
		}
		err = u.Err
	}
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	_, ok := errors.AsType[tls.AlertError](err)
	return ok || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}
