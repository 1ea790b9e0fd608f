package auth

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/net/http/httpguts"

	"github.com/deltahook/deltahook/internal/setting"
)

// Validate reports all that is wrong with the table; keys are relative to it. Secrets are resolved, so that unset ones are found.
// Of the kinds only those in allowed may be used; none given: all. Placeholders in the texts of a login are not looked
// at, apart from their secrets: see Texts.
func (c *Config) Validate(secrets *setting.Secrets, allowed ...string) setting.Problems {
	if secrets == nil {
		secrets = &setting.Secrets{}
	}
	v := &check{c: c, secrets: secrets}
	if len(allowed) == 0 {
		allowed = kinds()
	}
	if !v.choice("kind", c.Kind, allowed...) {
		return v.problems
	}
	c.keys(&v.problems)
	v.values()
	v.secretValues()
	switch c.Kind {
	case KindBasic:
		v.basic()
	case KindOAuth2:
		v.oauth2()
	case KindLogin:
		v.login()
	case KindHMAC:
		v.hmac()
	}
	return v.problems
}

type check struct {
	c        *Config
	secrets  *setting.Secrets
	problems setting.Problems
}

func (v *check) add(hint, message string, key ...string) { v.problems.Add(hint, message, key...) }

// values checks what several kinds share.
func (v *check) values() {
	c := v.c
	for key, name := range map[string]string{"header": c.Header, "token_header": c.TokenHeader} {
		if name != "" && !httpguts.ValidHeaderFieldName(name) {
			v.add("", fmt.Sprintf("%q is not a header name", name), key)
		}
	}
	if !httpguts.ValidHeaderFieldValue(c.Prefix) {
		v.add("", "prefix has a character in it that cannot stand in a header", "prefix")
	}
	if c.Header != "" && c.Param != "" {
		v.add("remove one of them", "header and param are both set; the token goes to one place", "param")
	}
	if c.Prefix != "" && c.Param != "" {
		v.add("remove it", "prefix is for a token in a header", "prefix")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if !httpguts.ValidHeaderFieldName(name) {
			v.add("", fmt.Sprintf("%q is not a header name", name), "headers", name)
		}
	}
	for i, status := range c.ExpiredStatus {
		if status < 300 || status > 599 {
			v.add("write statuses from 300 to 599", fmt.Sprintf("%d cannot mean that a session has expired", status), "expired_status", strconv.Itoa(i))
		}
	}
}

// secretRefs gives the secrets that are set, with their keys.
func (c *Config) secretRefs() []namedSecret {
	var refs []namedSecret
	for _, s := range []namedSecret{
		{"password", c.Password}, {"token", c.Token}, {"client_secret", c.ClientSecret}, {"refresh_token", c.RefreshToken}, {"key", c.Key},
	} {
		if !s.ref.IsZero() {
			refs = append(refs, s)
		}
	}
	return refs
}

type namedSecret struct {
	key string
	ref setting.Secret
}

func (v *check) secretValues() {
	for _, s := range v.c.secretRefs() {
		if s.ref.IsLiteral() {
			v.problems.Warn(`write "env:NAME", "file:/path" or "cred:NAME"`, "the secret itself stands in the configuration", s.key)
		}
		v.resolve(s.ref, s.key)
	}
}

func (v *check) resolve(ref setting.Secret, key ...string) (string, bool) {
	value, err := v.secrets.Resolve(ref)
	if err != nil {
		v.add(setting.Hint(err), err.Error(), key...)
		return "", false
	}
	return value, true
}
