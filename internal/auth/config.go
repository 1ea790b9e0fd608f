package auth

import (
	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// The kinds of proof.
const (
	KindNone   = "none"
	KindBasic  = "basic"  // RFC 7617
	KindBearer = "bearer" // RFC 6750, a token that does not change by itself
	KindHeader = "header" // a key in a header
	KindQuery  = "query"  // a key in a query parameter
	KindOAuth2 = "oauth2" // RFC 6749
	KindDigest = "digest" // RFC 7616
	KindLogin  = "login"  // a request that opens a session
	KindHMAC   = "hmac"   // each request is signed
	KindNTLM   = "ntlm"   // NTLMv2
)

// The grants of KindOAuth2.
const (
	grantClient   = "client_credentials"
	GrantRefresh  = "refresh_token" // needs a TokenKeeper
	grantPassword = "password"
	grantJWT      = "jwt_bearer" // RFC 7523
)

// The ways in which a client of KindOAuth2 proves who it is.
const (
	styleAuto   = "auto" // header, then body
	styleHeader = "header"
	styleBody   = "body"
	styleJWT    = "jwt" // private_key_jwt
)

// Config says how a request proves who asks, the table auth. Which keys count depends on the kind; a key that is not set has the
// zero value, whose meaning stands with it.
type Config struct {
	Kind string `toml:"kind"`

	Username string         `toml:"username"` // basic, digest, ntlm (DOMAIN\user or user@domain), oauth2
	Password setting.Secret `toml:"password"`
	Token    setting.Secret `toml:"token"`  // bearer, header, query; basic: the user name, when it is a key
	Header   string         `toml:"header"` // that carries the token; oauth2, login: Authorization
	Param    string         `toml:"param"`  // query parameter that carries the token
	Prefix   string         `toml:"prefix"` // before the token in its header; oauth2 and login without header: "Bearer"

	Grant        string            `toml:"grant"` // empty: client_credentials
	TokenURL     string            `toml:"token_url"`
	ClientID     string            `toml:"client_id"`
	ClientSecret setting.Secret    `toml:"client_secret"`
	AuthStyle    string            `toml:"auth_style"` // empty: auto, or jwt when key is set and client_secret is not
	Scopes       []string          `toml:"scopes"`
	Audience     string            `toml:"audience"`
	Params       map[string]string `toml:"params"` // more parameters of the token request; hmac: query parameters with placeholders
	RefreshToken setting.Secret    `toml:"refresh_token"`
	Issuer       string            `toml:"issuer"` // of the assertion of jwt_bearer
	Subject      string            `toml:"subject"`

	Key         setting.Secret `toml:"key"`          // oauth2: private key (PEM) or, for HS256, shared secret; hmac: shared secret
	KeyID       string         `toml:"key_id"`       // what {key_id} stands for; oauth2: kid of the assertion
	KeyEncoding string         `toml:"key_encoding"` // hmac: "raw", "base64", "hex"; empty: raw
	Algorithm   string         `toml:"algorithm"`    // hmac: "sha1", "sha256", "sha512"; empty: sha256. oauth2: of the assertion; empty: by the key
	Encoding    string         `toml:"encoding"`     // of the signature of hmac: "hex", "base64"; empty: hex
	Content     string         `toml:"content"`      // what hmac signs, with placeholders

	URL         string            `toml:"url"`    // login
	Method      string            `toml:"method"` // login; empty: POST
	Headers     map[string]string `toml:"headers"`
	Body        string            `toml:"body"`
	TokenPath   differ.Path       `toml:"token_path"`   // of the token in the answer; oauth2: access_token
	TokenHeader string            `toml:"token_header"` // login: header of the answer that has the token. Without either: cookies

	ExpiresPath differ.Path      `toml:"expires_path"` // seconds or a time in the answer; oauth2: expires_in
	DefaultTTL  setting.Duration `toml:"default_ttl"`  // when the answer does not say; 0: oauth2 an hour, login until it is refused

	Expired       differ.Condition `toml:"expired"`        // on an answer: it only says that the token or session has expired
	ExpiredStatus []int            `toml:"expired_status"` // besides 401 and 403
}

// Default gives the table that is not written: nothing is proved.
func Default() Config { return Config{Kind: KindNone} }

// SetsHeaders lists the headers that will be set on each request, which may not be configured otherwise too.
func (c *Config) SetsHeaders() []string {
	switch c.Kind {
	case KindBasic, KindBearer, KindDigest, KindNTLM:
		return []string{headerAuthorization}
	case KindHeader:
		return []string{c.Header}
	case KindOAuth2, KindLogin:
		if p := placementOf(c); p.param == "" && !c.usesCookies() {
			return []string{p.header}
		}
	case KindHMAC:
		names := make([]string, 0, len(c.Headers))
		for name := range c.Headers {
			names = append(names, name)
		}
		return names
	}
	return nil
}

func (c *Config) usesCookies() bool {
	return c.Kind == KindLogin && c.TokenPath.IsZero() && c.TokenHeader == ""
}

func (c *Config) grant() string { return or(c.Grant, grantClient) }

func (c *Config) style() string {
	if c.AuthStyle == "" && c.ClientSecret.IsZero() && !c.Key.IsZero() && c.grant() != grantJWT {
		return styleJWT
	}
	return or(c.AuthStyle, styleAuto)
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
