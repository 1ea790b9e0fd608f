package outbound

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/deltahook/deltahook/internal/setting"
)

// Proxy says through which proxy requests go, the key proxy: "env" (the zero value too) follows HTTPS_PROXY, HTTP_PROXY and
// NO_PROXY; "none" asks directly; else it is the URL of one, with {secret:env:NAME} where its credentials stand, or a reference to a
// secret that has the whole URL.
type Proxy struct{ text string }

// NewProxy makes a proxy of what is written in a configuration.
func NewProxy(text string) Proxy { return Proxy{text: text} }

const (
	proxyEnv  = "env"
	proxyNone = "none"

	proxyHint = `write "env", "none", or "http://user:{secret:env:PROXY_PASSWORD}@proxy.example.com:3128"; socks5:// and https:// work too`
)

// UnmarshalText takes what is written; see Validate.
func (p *Proxy) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return &setting.HintedError{Message: "the proxy is empty", Hint: proxyHint}
	}
	p.text = string(text)
	return nil
}

// MarshalText gives what was written, without a password that stands in it.
func (p Proxy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String gives what was written, without a password that stands in it.
func (p Proxy) String() string {
	if p.text == "" {
		return proxyEnv
	}
	if !p.HasLiteral() {
		return p.text
	}
	return regexp.MustCompile(`//[^/?#]*@`).ReplaceAllString(p.text, "//(secret)@")
}

// Reveal gives what was written, also a password: to compare, not to show.
func (p Proxy) Reveal() string { return p.text }

// HasLiteral says whether a password stands in the text itself.
func (p Proxy) HasLiteral() bool {
	return strings.Contains(p.text, "@") &&
		regexp.MustCompile(`//[^:/?#@]*:[^/?#]+@`).MatchString(proxySecret().ReplaceAllString(p.text, ""))
}

func proxySecret() *regexp.Regexp {
	return regexp.MustCompile(`\{secret:((?:env|file|cred):[^{}"\n]+)\}`)
}

// Validate reports what is wrong with the value; problems have no key. Secrets are resolved, to see that they are set; nil skips that.
func (p Proxy) Validate(secrets *setting.Secrets) setting.Problems {
	var problems setting.Problems
	if p.HasLiteral() {
		problems.Warn(`write "{secret:env:NAME}" in its place`, "the password of the proxy stands in the file itself")
	}
	if p.text == "" || p.text == proxyEnv || p.text == proxyNone || secrets == nil {
		return problems
	}
	if _, err := p.address(secrets); err != nil {
		problems.Add(setting.Hint(err), err.Error())
	}
	return problems
}

// address gives the URL of the proxy with its credentials, each time anew: they may come from a file that changes. Its errors
// have no credentials in them.
func (p Proxy) address(secrets *setting.Secrets) (*url.URL, error) {
	text, err := p.expand(secrets)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Hostname() == "":
		return nil, &setting.HintedError{Message: fmt.Sprintf("%q is not a proxy", p), Hint: proxyHint}
	case !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme):
		return nil, &setting.HintedError{Message: fmt.Sprintf("a proxy of the kind %q is not known", u.Scheme), Hint: proxyHint}
	case !ValidPort(u):
		return nil, &setting.HintedError{Message: fmt.Sprintf("the port %s of the proxy is none: they go from 1 to 65535", u.Port()), Hint: proxyHint}
	}
	if password, ok := u.User.Password(); ok {
		secrets.Remember(password)
		secrets.Remember(base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password)))
	}
	return u, nil
}

func (p Proxy) expand(secrets *setting.Secrets) (string, error) {
	if whole := setting.NewSecret(p.text); !whole.IsLiteral() {
		return secrets.Resolve(whole)
	}
	var failure error
	text := proxySecret().ReplaceAllStringFunc(p.text, func(found string) string {
		value, err := secrets.Resolve(setting.NewSecret(found[len("{secret:") : len(found)-1]))
		failure = errors.Join(failure, err)
		return url.User(value).String() // escaped for the place before the host
	})
	return text, failure
}

// Func gives what http.Transport asks for the proxy of each request. A proxy that cannot be used fails the request: nothing is
// asked directly that was meant to go through it. Unix sockets have none.
func (p Proxy) Func(secrets *setting.Secrets) func(*http.Request) (*url.URL, error) {
	environment := environmentProxy()
	return func(r *http.Request) (*url.URL, error) {
		if _, ok := socketPath(r.URL.Hostname()); ok {
			return nil, nil //nolint:nilnil // the contract of http.Transport: no URL means no proxy
		}
		switch p.text {
		case "", proxyEnv:
			return environment(r)
		case proxyNone:
			return nil, nil //nolint:nilnil // as above
		}
		u, err := p.address(secrets)
		if err != nil {
			return nil, &UnreadyError{fmt.Errorf("proxy: %w", err)}
		}
		return u, nil
	}
}

// environmentProxy asks the environment for the proxy of a request, and keeps the answer for the origin that it asked for last: it is the
// same as long as the process lives, and to find it costs as much as to sign a request.
func environmentProxy() func(*http.Request) (*url.URL, error) {
	type answer struct {
		scheme, host string
		proxy        *url.URL
	}
	var last atomic.Pointer[answer]
	return func(r *http.Request) (*url.URL, error) {
		if a := last.Load(); a != nil && a.scheme == r.URL.Scheme && a.host == r.URL.Host {
			return a.proxy, nil
		}
		u, err := http.ProxyFromEnvironment(r)
		if err != nil {
			return nil, errors.New("the proxy of the environment is not a URL; check HTTPS_PROXY and HTTP_PROXY") // its text has their values
		}
		last.Store(&answer{r.URL.Scheme, r.URL.Host, u})
		return u, nil
	}
}

// proxyError is the answer of a proxy that opens no tunnel.
type proxyError struct {
	proxy, host string
	status      int
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy %s answered %d and opens no connection to %s", e.proxy, e.status, e.host)
}

// refusedTunnel tells who it was that answered: to net/http it looks like an answer of the server.
func refusedTunnel(_ context.Context, proxy *url.URL, connect *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy: proxy.Host, host: connect.Host, status: resp.StatusCode}
}

// proxyFailure says what went wrong between here and the proxy; empty when it was something else.
func proxyFailure(err error) string {
	if refusal, ok := errors.AsType[*proxyError](err); ok {
		return refusal.Error()
	}
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "proxyconnect" && op.Op != "socks connect" {
		return ""
	}
	cause := op.Err
	if inner, ok := errors.AsType[*net.OpError](cause); ok {
		cause = inner.Err
	}
	return "the proxy cannot be used: " + cause.Error()
}
