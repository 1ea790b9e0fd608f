package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// login opens sessions: a request with credentials in it is answered with a token or with cookies.
type login struct {
	endpoint
	c      *Config
	expand func(string, Escape) (string, error)
}

func newLogin(c *Config, o Options) (Authenticator, error) {
	if o.Transport == nil || o.Expand == nil {
		return nil, errors.New("auth: login needs Transport and Expand")
	}
	m := &login{endpoint: newEndpoint("the login", o), c: c, expand: o.Expand}
	r := newRenewing(c, o, m, "the login works, but its session is not taken: check auth.token_path, auth.header, auth.prefix and what this account may read")
	r.form = true
	return r, nil
}

// Text is a text of a login with placeholders in it.
type Text struct {
	Key    []string // below the table auth
	Text   string
	Escape Escape
}

// Texts lists the texts of a login, so that whoever owns the placeholders can check them.
func (c *Config) Texts() []Text {
	if c.Kind != KindLogin {
		return nil
	}
	texts := []Text{{Key: []string{"url"}, Text: c.URL, Escape: EscapeURL}}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		texts = append(texts, Text{Key: []string{"headers", name}, Text: c.Headers[name], Escape: EscapeHeader})
	}
	_, escape := c.bodyType()
	return append(texts, Text{Key: []string{"body"}, Text: c.Body, Escape: escape})
}

// bodyType gives the content type of the body of a login, by what is configured or by how it begins, and what it means for
// placeholders.
func (c *Config) bodyType() (string, Escape) {
	kind := ""
	for name, value := range c.Headers {
		if strings.EqualFold(name, "Content-Type") {
			kind = strings.ToLower(value)
		}
	}
	start := strings.TrimLeft(c.Body, " \t\r\n")
	switch {
	case strings.Contains(kind, "json"):
		return kind, EscapeJSON
	case strings.Contains(kind, "xml"):
		return kind, EscapeXML
	case strings.Contains(kind, "x-www-form-urlencoded"):
		return kind, EscapeForm
	case kind != "":
		return kind, EscapeNone
	case strings.HasPrefix(start, "{"), strings.HasPrefix(start, "["):
		return "application/json", EscapeJSON
	case strings.HasPrefix(start, "<"):
		return "text/xml; charset=utf-8", EscapeXML
	}
	return "application/x-www-form-urlencoded", EscapeForm
}

// secretsIn lists the secrets that placeholders of a text name.
func secretsIn(text string) []setting.Secret {
	var refs []setting.Secret
	for _, found := range regexp.MustCompile(`\{secret:((?:env|file|cred):[^{}"\n]+)\}`).FindAllStringSubmatch(text, -1) {
		refs = append(refs, setting.NewSecret(found[1]))
	}
	return refs
}

// material covers the secrets in the texts; other placeholders change with time and prove nothing.
func (m *login) material() ([sha256.Size]byte, error) {
	var values []string
	for _, text := range m.c.Texts() {
		for _, ref := range secretsIn(text.Text) {
			value, err := m.secrets.Resolve(ref)
			if err != nil {
				return [sha256.Size]byte{}, secretError(err)
			}
			values = append(values, value)
		}
	}
	return fingerprint(values...), nil
}

func (m *login) fetch(ctx context.Context) (*token, error) {
	req, err := m.request(ctx)
	if err != nil {
		return nil, err
	}
	r, err := m.ask(ctx, req)
	if err != nil {
		return nil, err
	}
	t, problem := m.read(r)
	if problem != "" {
		return nil, &Error{
			Reason: ReasonToken, Status: r.status, lasting: true,
			Message: fmt.Sprintf("%s at %s answered %d: %s", m.what, host(req.URL), r.status, problem),
			Hint:    "check the secrets in auth.body, auth.headers and auth.url, and the documentation of the login",
		}
	}
	t.lasts(m.now(), m.life(r))
	return t, nil
}

func (m *login) request(ctx context.Context) (*http.Request, error) {
	filled := map[string]string{}
	for _, text := range m.c.Texts() {
		value, err := m.expand(text.Text, text.Escape)
		if err != nil {
			return nil, secretError(fmt.Errorf("auth.%s: %w", strings.Join(text.Key, "."), err))
		}
		filled[strings.Join(text.Key, ".")] = value
	}
	req, err := m.newRequest(ctx, or(m.c.Method, http.MethodPost), filled["url"], filled["body"])
	if err != nil {
		return nil, err
	}
	if m.c.Body != "" {
		kind, _ := m.c.bodyType()
		req.Header.Set("Content-Type", kind)
	}
	for name := range m.c.Headers {
		req.Header.Set(name, filled["headers."+name])
	}
	return req, nil
}

// read finds the token or the cookies. A login that sets cookies often answers with a redirect, which is not followed.
func (m *login) read(r *reply) (t *token, problem string) {
	if m.c.usesCookies() {
		if r.status > 399 {
			return nil, "no session"
		}
		return m.cookies(r)
	}
	if r.status > 299 {
		return nil, "no token"
	}
	text, where := r.header.Get(m.c.TokenHeader), "header "+m.c.TokenHeader
	if m.c.TokenHeader == "" {
		where = "auth.token_path = \"" + m.c.TokenPath.String() + "\""
		if v := m.c.TokenPath.Get(document(r.body)); v.Kind() == differ.String || v.Kind() == differ.Number {
			text = v.Text()
		}
	}
	if text == "" {
		return nil, "there is no token (" + where + ")"
	}
	m.secrets.Remember(text)
	return &token{text: text}, ""
}

func (m *login) cookies(r *reply) (t *token, problem string) {
	all := r.resp.Cookies()
	if len(all) == 0 {
		return nil, "it sets no cookie, and neither auth.token_path nor auth.token_header says where the token is"
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, "its cookies cannot be kept"
	}
	for _, c := range all {
		m.secrets.Remember(c.Value)
	}
	jar.SetCookies(r.resp.Request.URL, all)
	return &token{jar: jar}, ""
}

// life says how long the session lasts; 0: until it is refused.
func (m *login) life(r *reply) time.Duration {
	if !m.c.ExpiresPath.IsZero() {
		if life, ok := lifeOf(m.c.ExpiresPath.Get(document(r.body)), m.now()); ok {
			return life
		}
	}
	return m.c.DefaultTTL.Std()
}
