package auth

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// challenge is one way in which a server lets itself be convinced (RFC 9110, section 11.3).
type challenge struct {
	scheme string            // in lower case
	token  string            // token68
	params map[string]string // names in lower case
}

// challenges reads WWW-Authenticate. Several may stand in one line.
func challenges(h http.Header) []challenge {
	var all []challenge
	for _, line := range h.Values("Www-Authenticate") {
		for _, item := range splitList(line) {
			scheme, rest := schemeOf(item)
			if scheme != "" {
				all = append(all, challenge{scheme: scheme, params: map[string]string{}})
				item = rest
			}
			if len(all) > 0 {
				all[len(all)-1].add(item)
			}
		}
	}
	return all
}

// splitList splits at commas outside of quotes.
func splitList(line string) []string {
	var items []string
	start, quoted := 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			items = append(items, strings.TrimSpace(line[start:i]))
			start = i + 1
		}
	}
	return append(items, strings.TrimSpace(line[start:]))
}

// schemeOf cuts the scheme off an item that begins a challenge; it is empty when the item is a parameter.
func schemeOf(item string) (scheme, rest string) {
	name, rest, _ := strings.Cut(item, " ")
	rest = strings.TrimSpace(rest)
	if name == "" || strings.Contains(name, "=") || strings.HasPrefix(rest, "=") {
		return "", item
	}
	return strings.ToLower(name), rest
}

func (c *challenge) add(item string) {
	name, value, ok := strings.Cut(item, "=")
	value = strings.TrimSpace(value)
	if !ok || value == "" || strings.Trim(value, "=") == "" { // base64 may end with =
		if item != "" {
			c.token = item
		}
		return
	}
	c.params[strings.ToLower(strings.TrimSpace(name))] = unquote(value)
}

func unquote(text string) string {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return text
	}
	var b strings.Builder
	for i := 1; i < len(text)-1; i++ {
		if text[i] == '\\' && i+1 < len(text)-1 {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// rewindable makes the body of a request readable many times: the result gives it from its beginning. The body that req has now
// is read and closed; each use of req needs a new one.
func rewindable(req *http.Request) (again func() (io.ReadCloser, error), err error) {
	if req.Body == nil || req.Body == http.NoBody {
		return func() (io.ReadCloser, error) { return http.NoBody, nil }, nil
	}
	if req.GetBody != nil {
		return req.GetBody, nil
	}
	body, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return nil, err
	}
	again = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, _ = again()
	req.GetBody = again
	return again, nil
}

// attempt sends a copy of req with the body from its beginning, or without it, and with this Authorization.
func attempt(base http.RoundTripper, req *http.Request, body func() (io.ReadCloser, error), authorization string) (*http.Response, error) {
	clone := req.Clone(req.Context())
	if body == nil {
		clone.Body, clone.GetBody, clone.ContentLength = http.NoBody, nil, 0
	} else {
		var err error
		if clone.Body, err = body(); err != nil {
			return nil, err
		}
		clone.GetBody = body
	}
	clone.Header.Del(headerAuthorization)
	if authorization != "" {
		clone.Header.Set(headerAuthorization, authorization)
	}
	return base.RoundTrip(clone)
}

// drain reads an answer that nobody wants, so that its connection can be used again. It says whether it came to the end.
func drain(resp *http.Response) bool {
	const most = 256 << 10
	n, err := io.CopyN(io.Discard, resp.Body, most)
	_ = resp.Body.Close()
	return n < most && err == io.EOF //nolint:errorlint // CopyN gives it bare
}
