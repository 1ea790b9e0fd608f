package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
)

// tokenAnswer is what a token endpoint gave.
type tokenAnswer struct {
	access  string
	refresh string
	life    time.Duration // 0: not said
}

// refusal is what a token endpoint said instead (RFC 6749, section 5.2).
type refusal struct {
	code   string // "invalid_client"; empty: none was given
	detail string
}

func (r *refusal) Error() string {
	switch {
	case r.code == "":
		return r.detail
	case r.detail == "":
		return r.code
	}
	return r.code + ", " + r.detail
}

// parseToken reads the answer of a token endpoint: JSON, or a form as some older servers send. An error may come with any status.
func parseToken(r *reply, c *Config, now time.Time) (*tokenAnswer, error) {
	doc := tokenDocument(r.body)
	path := c.TokenPath
	if path.IsZero() {
		path = differ.MustPath("access_token")
	}
	access := path.Get(doc)
	if r.status > 299 || access.Kind() != differ.String || access.Text() == "" {
		return nil, refusalOf(doc, r.status, path)
	}
	if kind := textAt(doc, "token_type"); kind != "" && strings.Contains(" mac dpop pop ", " "+strings.ToLower(kind)+" ") {
		return nil, &refusal{detail: fmt.Sprintf("the token is of the type %q, which is not known here", clip(kind))}
	}
	a := &tokenAnswer{access: access.Text(), refresh: textAt(doc, "refresh_token")}
	expires := c.ExpiresPath
	if expires.IsZero() {
		expires = differ.MustPath("expires_in")
	}
	if life, ok := lifeOf(expires.Get(doc), now); ok {
		a.life = life
	}
	return a, nil
}

// tokenDocument gives an answer as JSON; nothing when it is neither JSON nor a form.
func tokenDocument(body []byte) []byte {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if json.Valid(body) {
		return body
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || !form.Has("access_token") && !form.Has("error") {
		return nil
	}
	flat := map[string]string{}
	for name := range form {
		flat[name] = form.Get(name)
	}
	doc, err := json.Marshal(flat)
	if err != nil {
		return nil
	}
	return doc
}

func textAt(doc []byte, path string) string {
	if v := differ.MustPath(path).Get(doc); v.Kind() == differ.String {
		return v.Text()
	}
	return ""
}

// refusalOf finds what the endpoint said, or names what it sent instead of a token. Values of members are not shown: one of them may be
// a token in another place.
func refusalOf(doc []byte, status int, path differ.Path) error {
	code, detail := textAt(doc, "error"), textAt(doc, "error_description")
	if code == "" {
		code = or(textAt(doc, "error.code"), textAt(doc, "errorCode"))
		detail = or(textAt(doc, "error.message"), or(textAt(doc, "errorSummary"), textAt(doc, "message")))
	}
	if code != "" || detail != "" {
		return &refusal{code: code, detail: detail} // clipped after secrets are taken out
	}
	if status > 299 {
		return &refusal{detail: "no token, and no reason"}
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(doc, &members) != nil {
		return &refusal{detail: "the answer is no JSON object"}
	}
	names := slices.Sorted(maps.Keys(members))
	const most = 8
	return &refusal{detail: fmt.Sprintf("no %s in the answer; it has: %s", path, clip(strings.Join(names[:min(len(names), most)], ", ")))}
}

// clip keeps what a server said on one short line.
func clip(text string) string {
	const most = 200
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// isUnknownClient says whether the endpoint may know the client when it proves itself in another way.
func isUnknownClient(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	why, ok := errors.AsType[*refusal](err)
	return ok && (e.Status == http.StatusUnauthorized || why.code == "invalid_client" || why.code == "invalid_request" || why.code == "")
}

// lifeOf reads how long something lasts: a number of seconds, or the time of its end as seconds or milliseconds since 1970 or as text.
func lifeOf(v differ.Value, now time.Time) (time.Duration, bool) {
	if v.Kind() != differ.Number && v.Kind() != differ.String {
		return 0, false
	}
	text := strings.TrimSpace(v.Text())
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		at, ok := timeOf(text)
		return at.Sub(now), ok && at.After(now)
	}
	const (
		mostSeconds = 1e9  // as a length of time; as a time it would be in 2001
		mostEpoch   = 1e11 // as seconds
	)
	switch {
	case math.IsNaN(n) || n <= 0 || n >= mostEpoch*1e3:
		return 0, false
	case n < mostSeconds:
		return time.Duration(n * float64(time.Second)), true
	case n >= mostEpoch:
		n /= 1e3
	}
	at := time.Unix(int64(n), 0)
	return at.Sub(now), at.After(now)
}

func timeOf(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", http.TimeFormat, time.RFC1123Z} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// advice says what to do about an error code.
func (m *oauth2) advice(code string) string {
	switch code {
	case "invalid_client", "unauthorized_client":
		return "check auth.client_id, auth.client_secret and what this client may do"
	case "invalid_scope":
		return "check auth.scopes"
	case "unsupported_grant_type":
		return "the endpoint does not know this grant; check auth.grant and auth.token_url"
	case "invalid_grant":
		switch m.c.grant() {
		case GrantRefresh:
			return "the refresh token is not accepted any more: authorize again and put the new one where auth.refresh_token points to"
		case grantPassword:
			return "check auth.username and auth.password"
		case grantJWT:
			return "check auth.key, auth.issuer, auth.subject, auth.audience and the clock of this machine"
		}
	}
	return "check the table auth against the documentation of the API"
}
