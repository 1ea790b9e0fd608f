package auth

import (
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

const headerAuthorization = "Authorization"

// placement is where a token stands in a request.
type placement struct {
	header string // canonical; empty: param
	prefix string
	param  string
}

// placementOf gives the place of a fetched token.
func placementOf(c *Config) placement {
	switch {
	case c.Param != "":
		return placement{param: c.Param}
	case c.Header == "":
		return placement{header: headerAuthorization, prefix: or(c.Prefix, "Bearer")}
	}
	return placement{header: http.CanonicalHeaderKey(c.Header), prefix: c.Prefix}
}

// put sets the token, replacing one that is there.
func (p placement) put(req *http.Request, token string) error {
	if p.param != "" {
		setQuery(req.URL, p.param, token)
		return nil
	}
	if !httpguts.ValidHeaderFieldValue(token) {
		return secretErrorf("", "the token has a character in it that cannot stand in a header, like a line break")
	}
	req.Header.Set(p.header, joinPrefix(p.prefix, token))
	return nil
}

// joinPrefix puts a space between a prefix that is a word and the token: "Bearer x", but "token=x".
func joinPrefix(prefix, token string) string {
	if prefix == "" {
		return token
	}
	last := prefix[len(prefix)-1]
	if last >= 'a' && last <= 'z' || last >= 'A' && last <= 'Z' || last >= '0' && last <= '9' {
		return prefix + " " + token
	}
	return prefix + token
}

// setQuery sets a query parameter and leaves all others as they are written.
func setQuery(u *url.URL, name, value string) {
	var kept []string
	for segment := range strings.SplitSeq(u.RawQuery, "&") {
		key, _, _ := strings.Cut(segment, "=")
		if plain, err := url.QueryUnescape(key); segment != "" && (err != nil || plain != name) {
			kept = append(kept, segment)
		}
	}
	u.RawQuery = strings.Join(append(kept, url.QueryEscape(name)+"="+url.QueryEscape(value)), "&")
}
