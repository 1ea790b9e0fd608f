package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// oauth2 fetches access tokens (RFC 6749, section 4; RFC 7523 for signed assertions).
type oauth2 struct {
	endpoint
	c       *Config
	style   string // how the client proves who it is; auto until an answer told
	refresh *rotation
}

const unknownTTL = time.Hour // of a token whose answer does not say how long it lasts

func newOAuth2(c *Config, o Options) (Authenticator, error) {
	if o.Transport == nil {
		return nil, errors.New("auth: oauth2 needs Transport")
	}
	m := &oauth2{endpoint: newEndpoint("the token endpoint", o), c: c, style: c.style()}
	if c.grant() == GrantRefresh {
		if o.Keep == nil || o.Name == "" {
			return nil, errors.New("auth: the grant refresh_token needs Keep and Name")
		}
		m.refresh = &rotation{keep: o.Keep, name: o.Name, timeout: o.Timeout}
	}
	return newRenewing(c, o, m, "the token endpoint gives tokens that the API does not take: check auth.scopes, auth.audience and what this client may do"), nil
}

// material covers all secrets that are sent.
func (m *oauth2) material() ([sha256.Size]byte, error) {
	var values []string
	for _, s := range m.c.secretRefs() {
		value, err := m.secrets.Resolve(s.ref)
		if err != nil {
			return [sha256.Size]byte{}, secretError(err)
		}
		values = append(values, value)
	}
	return fingerprint(values...), nil
}

func (m *oauth2) fetch(ctx context.Context) (*token, error) {
	if m.refresh != nil {
		return m.rotate(ctx)
	}
	form, err := m.form()
	if err != nil {
		return nil, err
	}
	answer, err := m.exchange(ctx, form)
	if err != nil {
		return nil, err
	}
	return m.token(answer), nil
}

// rotate exchanges the refresh token. It is not interrupted: the server forgets the old refresh token when it answers, and the
// new one would be lost.
func (m *oauth2) rotate(ctx context.Context) (*token, error) {
	ctx = context.WithoutCancel(ctx)
	if answer := m.refresh.unsaved; answer != nil {
		if err := m.refresh.save(ctx, answer); err != nil {
			return nil, err
		}
		return m.token(answer), nil
	}
	configured, err := m.secrets.Resolve(m.c.RefreshToken)
	if err != nil {
		return nil, secretError(err)
	}
	current, err := m.refresh.load(ctx, configured)
	if err != nil {
		return nil, err
	}
	m.secrets.Remember(current)
	form := m.common()
	form.Set("grant_type", "refresh_token")
	form.Set("refresh_token", current)
	answer, err := m.exchange(ctx, form)
	if err != nil {
		return nil, err
	}
	if answer.refresh != "" && answer.refresh != current {
		m.secrets.Remember(answer.refresh)
		if err := m.refresh.save(ctx, answer); err != nil {
			return nil, err
		}
	}
	return m.token(answer), nil
}

func (m *oauth2) token(a *tokenAnswer) *token {
	m.secrets.Remember(a.access)
	t := &token{text: a.access}
	life := a.life
	if life <= 0 {
		life = m.c.DefaultTTL.Std()
	}
	if life <= 0 {
		life = unknownTTL
	}
	t.lasts(m.now(), life)
	return t
}

// common gives the parameters of all grants.
func (m *oauth2) common() url.Values {
	form := url.Values{}
	if len(m.c.Scopes) > 0 {
		form.Set("scope", strings.Join(m.c.Scopes, " "))
	}
	if m.c.Audience != "" && m.c.grant() != grantJWT {
		form.Set("audience", m.c.Audience)
	}
	for name, value := range m.c.Params {
		form.Set(name, value)
	}
	return form
}

// form gives the request of the grants that need nothing but the configuration.
func (m *oauth2) form() (url.Values, error) {
	form := m.common()
	switch m.c.grant() {
	case grantClient:
		form.Set("grant_type", "client_credentials")
	case grantPassword:
		password, err := m.secrets.Resolve(m.c.Password)
		if err != nil {
			return nil, secretError(err)
		}
		form.Set("grant_type", "password")
		form.Set("username", m.c.Username)
		form.Set("password", password)
	case grantJWT:
		assertion, err := m.assertion(claims{
			issuer: m.c.Issuer, subject: or(m.c.Subject, m.c.Issuer), audience: or(m.c.Audience, m.c.TokenURL), scopes: m.c.Scopes,
		})
		if err != nil {
			return nil, err
		}
		form.Set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
		form.Set("assertion", assertion)
	}
	return form, nil
}

// exchange asks for a token. With the style auto a client that is not recognised by its header is tried in the body once.
func (m *oauth2) exchange(ctx context.Context, form url.Values) (*tokenAnswer, error) {
	style := m.style
	if style == styleAuto {
		style = styleHeader
	}
	answer, err := m.try(ctx, form, style)
	if m.style == styleAuto && isUnknownClient(err) && !m.c.ClientSecret.IsZero() {
		style = styleBody
		answer, err = m.try(ctx, form, style)
	}
	if err == nil {
		m.style = style
	}
	return answer, err
}

func (m *oauth2) try(ctx context.Context, form url.Values, style string) (*tokenAnswer, error) {
	form = cloneForm(form)
	client, err := m.identify(form, style)
	if err != nil {
		return nil, err
	}
	req, err := m.newRequest(ctx, http.MethodPost, m.c.TokenURL, form.Encode())
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if client != nil {
		req.SetBasicAuth(url.QueryEscape(client[0]), url.QueryEscape(client[1])) // RFC 6749, section 2.3.1
		_, encoded, _ := strings.Cut(req.Header.Get(headerAuthorization), " ")
		m.secrets.Remember(encoded)
	}
	r, err := m.ask(ctx, req)
	if err != nil {
		return nil, err
	}
	answer, err := parseToken(r, m.c, m.now())
	if refusal, ok := errors.AsType[*refusal](err); ok {
		return nil, m.explain(req, r, refusal, form)
	}
	return answer, err
}

// identify adds who the client is to the form, or gives user name and password for the header.
func (m *oauth2) identify(form url.Values, style string) (basic []string, err error) {
	if style == styleJWT {
		assertion, err := m.assertion(claims{issuer: m.c.ClientID, subject: m.c.ClientID, audience: m.c.TokenURL})
		if err != nil {
			return nil, err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
		form.Set("client_id", m.c.ClientID)
		return nil, nil
	}
	if m.c.ClientSecret.IsZero() {
		if m.c.ClientID != "" {
			form.Set("client_id", m.c.ClientID)
		}
		return nil, nil
	}
	secret, err := m.secrets.Resolve(m.c.ClientSecret)
	if err != nil {
		return nil, secretError(err)
	}
	if style == styleHeader {
		return []string{m.c.ClientID, secret}, nil
	}
	form.Set("client_id", m.c.ClientID)
	form.Set("client_secret", secret)
	return nil, nil
}

func cloneForm(form url.Values) url.Values {
	clone := make(url.Values, len(form))
	for name, values := range form {
		clone[name] = append([]string(nil), values...)
	}
	return clone
}

// explain makes an error for people of what the endpoint said. What it echoes of the request is taken out.
func (m *oauth2) explain(req *http.Request, r *reply, why *refusal, form url.Values) *Error {
	clean := func(text string) string {
		for _, name := range []string{"assertion", "client_assertion"} {
			if sent := form.Get(name); sent != "" {
				text = strings.ReplaceAll(text, sent, "(secret)")
			}
		}
		return clip(m.secrets.Redact(text))
	}
	why = &refusal{code: clean(why.code), detail: clean(why.detail)}
	return &Error{
		Reason: ReasonToken, Status: r.status, lasting: true, cause: why, Hint: m.advice(why.code),
		Message: fmt.Sprintf("%s at %s answered %d: %s", m.what, host(req.URL), r.status, why),
	}
}
