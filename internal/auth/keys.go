package auth

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/setting"
)

// use says which keys a kind, or a grant of oauth2, needs and may have.
type use struct {
	needs []string
	may   []string
}

func kinds() []string {
	return []string{
		KindNone, KindBasic, KindBearer, KindHeader, KindQuery, KindOAuth2, KindDigest, KindLogin, KindHMAC, KindNTLM,
	}
}

func useOf(kind string) use {
	switch kind {
	case KindBasic:
		return use{may: []string{"username", "password", "token"}}
	case KindDigest, KindNTLM:
		return use{needs: []string{"username", "password"}}
	case KindBearer:
		return use{needs: []string{"token"}}
	case KindHeader:
		return use{needs: []string{"header", "token"}, may: []string{"prefix"}}
	case KindQuery:
		return use{needs: []string{"param", "token"}}
	case KindLogin:
		return use{needs: []string{"url"}, may: append([]string{
			"method", "headers", "body", "token_path", "token_header", "header", "param", "prefix",
		}, renewalKeys()...)}
	case KindHMAC:
		return use{
			needs: []string{"key", "content"},
			may:   []string{"key_id", "key_encoding", "algorithm", "encoding", "headers", "params"},
		}
	case KindOAuth2:
		all := use{needs: []string{"token_url"}}
		for _, grant := range grants() {
			all.may = append(all.may, slices.Concat(useOfGrant(grant).needs, useOfGrant(grant).may)...)
		}
		return all
	}
	return use{}
}

func renewalKeys() []string {
	return []string{"expires_path", "default_ttl", "expired", "expired_status"}
}

func grants() []string { return []string{grantClient, GrantRefresh, grantPassword, grantJWT} }

func useOfGrant(grant string) use {
	u := use{needs: []string{"token_url"}, may: append([]string{
		"grant", "client_secret", "auth_style", "scopes", "audience", "params", "key", "key_id", "algorithm", "token_path", "header", "param", "prefix",
	}, renewalKeys()...)}
	switch grant {
	case grantClient:
		u.needs = append(u.needs, "client_id")
	case GrantRefresh:
		u.needs = append(u.needs, "client_id", "refresh_token")
	case grantPassword:
		u.needs = append(u.needs, "username", "password")
		u.may = append(u.may, "client_id")
	case grantJWT:
		u.needs = append(u.needs, "key", "issuer")
		u.may = append(u.may, "client_id", "subject")
	}
	return u
}

// set lists the keys that are set, in the order of the struct.
func (c *Config) set() []string {
	var keys []string
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if key := v.Type().Field(i).Tag.Get("toml"); key != "kind" && !v.Field(i).IsZero() {
			keys = append(keys, key)
		}
	}
	return keys
}

// keys reports what is missing and what does not belong to the kind.
func (c *Config) keys(p *setting.Problems) {
	u, set := useOf(c.Kind), c.set()
	for _, key := range set {
		if !slices.Contains(u.needs, key) && !slices.Contains(u.may, key) {
			p.Add(foreignHint(key), foreign(key, c.Kind), key)
		}
	}
	subject := fmt.Sprintf("kind = %q", c.Kind)
	if c.Kind == KindOAuth2 {
		subject = fmt.Sprintf("grant = %q", c.grant())
		u = c.keysOfGrant(set, p)
	}
	for _, key := range u.needs {
		if !slices.Contains(set, key) {
			p.Add("write "+example(key), subject+" needs "+key, key)
		}
	}
}

func (c *Config) keysOfGrant(set []string, p *setting.Problems) use {
	if !slices.Contains(grants(), c.grant()) {
		return use{needs: []string{"token_url"}}
	}
	u, all := useOfGrant(c.grant()), useOf(KindOAuth2)
	for _, key := range set {
		known := slices.Contains(all.needs, key) || slices.Contains(all.may, key)
		if known && !slices.Contains(u.needs, key) && !slices.Contains(u.may, key) {
			p.Add("remove it, or set another grant", fmt.Sprintf("%s does not count with grant = %q", key, c.grant()), key)
		}
	}
	return u
}

func foreign(key, kind string) string {
	if kind == KindNone {
		return fmt.Sprintf("%s is set, but kind is %q", key, KindNone)
	}
	return fmt.Sprintf("%s does not count with kind = %q", key, kind)
}

func foreignHint(key string) string {
	var owners []string
	for _, kind := range kinds() {
		if u := useOf(kind); slices.Contains(u.needs, key) || slices.Contains(u.may, key) {
			owners = append(owners, kind)
		}
	}
	return fmt.Sprintf("%s is for kind = %s", key, alternatives(owners))
}

// alternatives writes `"a", "b" or "c"`.
func alternatives(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// example writes a key as it could stand in the file.
func example(key string) string {
	switch key {
	case "username", "client_id", "issuer":
		return key + ` = "…"`
	case "token_url":
		return `token_url = "https://id.example.com/oauth2/token"`
	case "url":
		return `url = "https://api.example.com/login"`
	case "header":
		return `header = "X-Api-Key"`
	case "param":
		return `param = "api_key"`
	case "content":
		return `content = "{method}\n{uri}\n{timestamp}\n{body}"`
	}
	return key + ` = "env:NAME", "file:/path" or "cred:NAME"`
}
