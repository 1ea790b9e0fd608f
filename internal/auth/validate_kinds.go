package auth

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

func (v *check) basic() {
	c := v.c
	switch {
	case c.Username == "" && c.Token.IsZero():
		v.add(`write username = "…" and password = "env:NAME", or token = "env:NAME" when a key is the user name`, `kind = "basic" needs username`, "username")
	case c.Username != "" && !c.Token.IsZero():
		v.add("remove one of them", "username and token are both set; token stands for the user name", "token")
	case c.Username != "" && c.Password.IsZero():
		v.add("write "+example("password"), `kind = "basic" needs password`, "password")
	}
	if strings.Contains(c.Username, ":") {
		v.add("put what follows the colon into password", "a user name with a colon cannot be sent (RFC 7617)", "username")
	}
}

func (v *check) oauth2() {
	c := v.c
	if c.TokenURL != "" {
		v.url("token_url", c.TokenURL)
	}
	if !v.choice("grant", c.grant(), grants()...) || !v.choice("auth_style", c.style(), styleAuto, styleHeader, styleBody, styleJWT) {
		return
	}
	switch {
	case c.grant() == grantClient && c.ClientSecret.IsZero() && c.Key.IsZero():
		v.add("write "+example("client_secret")+", or key for a signed assertion", `grant = "client_credentials" needs client_secret or key`, "client_secret")
	case c.style() == styleJWT && (c.Key.IsZero() || c.ClientID == ""):
		v.add("set client_id and key", `auth_style = "jwt" needs client_id and key`, "auth_style")
	case !c.ClientSecret.IsZero() && c.ClientID == "":
		v.add("write "+example("client_id"), "client_secret without client_id", "client_id")
	case c.style() != styleJWT && c.grant() != grantJWT && !c.Key.IsZero():
		v.add(`set auth_style = "jwt", or remove key`, fmt.Sprintf("key does not count with grant = %q and auth_style = %q", c.grant(), c.style()), "key")
	}
	if key, err := v.secrets.Resolve(c.Key); !c.Key.IsZero() && err == nil {
		if _, err := parseKey(key, c.Algorithm); err != nil {
			v.add(setting.Hint(err), err.Error(), keyOfSigner(err))
		}
	}
	if c.Key.IsZero() && (c.Algorithm != "" || c.KeyID != "") {
		v.add("set key, or remove it", "algorithm and key_id are those of key, which is not set", "algorithm")
	}
}

// url checks an address to which secrets are sent.
func (v *check) url(key, text string) {
	before, _, _ := strings.Cut(text, "?")
	if len(secretsIn(hostOf(before))) > 0 {
		v.add("secrets are for the path, the query, the headers and the body", "there is a placeholder in the host", key)
		return
	}
	t, err := outbound.ParseTarget(before)
	if err != nil {
		v.add(`write "https://host/path"`, fmt.Sprintf("%s cannot be asked: %s", key, err), key)
		return
	}
	if t.URL.Scheme == "http" && t.Socket == "" && !isLoopback(t.URL.Hostname()) {
		v.problems.Warn("use https", "secrets are sent to "+t.URL.Host+" without encryption", key)
	}
}

func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.Host
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (v *check) login() {
	c := v.c
	if c.URL != "" {
		v.url("url", c.URL)
	}
	v.choice("method", or(c.Method, "POST"), "POST", "GET", "PUT", "PATCH")
	if c.Body != "" && c.Method == "GET" {
		v.add(`remove it, or set method = "POST"`, "a GET has no body", "body")
	}
	if !c.TokenPath.IsZero() && c.TokenHeader != "" {
		v.add("remove one of them", "token_path and token_header are both set", "token_header")
	}
	if c.usesCookies() {
		for key, set := range map[string]bool{"header": c.Header != "", "param": c.Param != "", "prefix": c.Prefix != ""} {
			if set {
				v.add("set token_path or token_header, or remove it", key+" is for a token, but the session is in cookies", key)
			}
		}
	}
	for _, text := range c.Texts() {
		for _, ref := range secretsIn(text.Text) {
			v.resolve(ref, text.Key...)
		}
	}
}

func (v *check) hmac() {
	c := v.c
	v.choice("algorithm", or(c.Algorithm, "sha256"), "sha1", "sha256", "sha512")
	v.choice("encoding", or(c.Encoding, "hex"), "hex", "base64")
	if v.choice("key_encoding", or(c.KeyEncoding, "raw"), "raw", "base64", "hex") && !c.Key.IsZero() {
		if key, err := v.secrets.Resolve(c.Key); err == nil {
			if _, err := decodeKey(key, c.KeyEncoding); err != nil {
				v.add("", err.Error(), "key")
			}
		}
	}
	_, problems := newSigner(c)
	for _, bad := range problems {
		v.add(bad.hint, bad.Error(), bad.key...)
	}
	if len(problems) == 0 {
		v.unsent()
	}
}

// unsent warns of values that are made for one request and signed, but that the server does not get to see.
func (v *check) unsent() {
	sent := strings.Join(slices.Concat(slices.Collect(maps.Values(v.c.Headers)), slices.Collect(maps.Values(v.c.Params))), "\n")
	for _, name := range []string{"{nonce}", "{timestamp}", "{timestamp_ms}", "{date}"} {
		if strings.Contains(v.c.Content, name) && !strings.Contains(sent, name) {
			v.problems.Warn("send it in a header or a query parameter too", name+" is signed, but the server is not told its value", "content")
		}
	}
}

func decodeKey(key, encoding string) ([]byte, error) {
	switch encoding {
	case "base64":
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			if raw, err := e.DecodeString(key); err == nil {
				return raw, nil
			}
		}
		return nil, errors.New("the key is not base64, as key_encoding says")
	case "hex":
		raw, err := hex.DecodeString(key)
		if err != nil {
			return nil, errors.New("the key is not hexadecimal, as key_encoding says")
		}
		return raw, nil
	}
	return []byte(key), nil
}
