package emitter

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/auth"
	"github.com/deltahook/deltahook/internal/setting"
)

// Auth is how a webhook proves to the receiver, or to a gateway before it, who sends: the table auth. Which keys count depends on
// the kind. It is beside the signature, which speaks of the event.
type Auth struct {
	Kind string `toml:"kind"` // "none", "basic", "bearer", "header", "oauth2"

	Username string         `toml:"username"` // basic
	Password setting.Secret `toml:"password"`
	Token    setting.Secret `toml:"token"`  // bearer, header
	Header   string         `toml:"header"` // that carries the token; oauth2: Authorization
	Prefix   string         `toml:"prefix"` // before the token in it

	TokenURL     string            `toml:"token_url"` // oauth2, client credentials
	ClientID     string            `toml:"client_id"`
	ClientSecret setting.Secret    `toml:"client_secret"`
	AuthStyle    string            `toml:"auth_style"` // empty: auto; "header", "body"
	Scopes       []string          `toml:"scopes"`
	Audience     string            `toml:"audience"`
	Params       map[string]string `toml:"params"` // more parameters of the token request
}

// table gives it as the package that does it knows it.
func (a *Auth) table() *auth.Config {
	return &auth.Config{
		Kind: a.Kind, Username: a.Username, Password: a.Password, Token: a.Token, Header: a.Header, Prefix: a.Prefix,
		TokenURL: a.TokenURL, ClientID: a.ClientID, ClientSecret: a.ClientSecret, AuthStyle: a.AuthStyle, Scopes: a.Scopes,
		Audience: a.Audience, Params: a.Params,
	}
}

func (a *Auth) validate(p *setting.Problems, secrets *setting.Secrets) {
	if a.AuthStyle == "jwt" {
		p.Add(`write auth_style = "header" or "body", or leave it out`, `auth_style = "jwt" is for sources`, "auth", "auth_style")
		return
	}
	p.Under("auth", a.table().Validate(secrets, auth.KindNone, auth.KindBasic, auth.KindBearer, auth.KindHeader, auth.KindOAuth2))
}

// authenticator makes what proves to the origin of u. Requests for tokens go over the webhook's own connections, under its egress
// policy.
func (s *Sender) authenticator(userAgent string) (auth.Authenticator, error) {
	origin := url.URL{Scheme: s.url.Scheme, Host: s.url.Host}
	return auth.New(s.webhook.Auth.table(), auth.Options{
		Origin: &origin, Secrets: s.secrets, Transport: s.transport, Timeout: s.webhook.Timeout.Std(), UserAgent: userAgent, Name: s.webhook.Name,
	})
}

// unsentError is why an attempt was not made: it is the webhook that has to be seen to, and not the event.
type unsentError struct {
	reason string
	text   string
	after  time.Duration // not before
}

func (e *unsentError) Error() string { return e.text }

// unsent says that there was no proof to send.
func unsent(err error) error {
	e := &unsentError{reason: ReasonAuth, text: err.Error()}
	if of, ok := errors.AsType[*auth.Error](err); ok && !of.Until.IsZero() {
		e.after = min(max(time.Until(of.Until), 0), retryAfterMax)
	}
	return e
}

// proven makes and sends a request that proves who sends, and does so once more when the receiver refused a proof that has been
// renewed since. The refusal says what is wrong with the proof when a new one would not help.
func (s *Sender) proven(ctx context.Context, build func() (*http.Request, error)) (resp *http.Response, refusal, err error) {
	for first := true; ; first = false {
		req, err := build()
		if err != nil {
			return nil, nil, err
		}
		proof, err := s.auth.Authorize(ctx, req)
		switch {
		case ctx.Err() != nil:
			return nil, nil, &unsentError{reason: ReasonAuth, text: "there was no proof of who sends within " + s.webhook.Timeout.String()}
		case err != nil:
			return nil, nil, unsent(err)
		}
		resp, err := s.transport.RoundTrip(req)
		if err != nil {
			return nil, nil, err
		}
		again, refusal := s.auth.Answered(ctx, proof, auth.Answer{Status: resp.StatusCode, Header: resp.Header})
		if !again || !first {
			return resp, refusal, nil
		}
		_, _ = io.CopyN(io.Discard, resp.Body, drainBytes) // a short refusal: the connection is used again
		_ = resp.Body.Close()
	}
}

// withheld makes an outcome of an attempt that was not made.
func (s *Sender) withheld(e *unsentError) Outcome {
	return Outcome{Class: Withheld, Reason: e.reason, Error: s.secrets.Redact(e.text), RetryAfter: e.after}
}

// authHeaders are those that the table auth sets, in lower case.
func (w *Webhook) authHeaders() []string {
	names := slices.Clone(w.Auth.table().SetsHeaders())
	for i := range names {
		names[i] = strings.ToLower(names[i])
	}
	return names
}
