package poller

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// requests makes the requests of one source. Everything that can be wrong is found when it is compiled; later only a secret
// may be missing.
type requests struct {
	method  string
	target  outbound.Target // the origin, with an empty path
	base    template        // of the URL up to its query
	query   []parameter     // in the order of the URL, then the table query
	secret  []parameter     // those with a secret in them: for the origin only
	headers []header
	body    template
	agent   string
}

// parameter is one query parameter. From the URL it is a whole escaped segment, "name=value"; from the table query it has a
// name, and value is not escaped yet.
type parameter struct {
	name  string
	value template
}

type header struct {
	name  string
	value template
}

// compileRequests reads all that a request is made of. Problems are reported by key.
func compileRequests(s *Source, agent string, problems *setting.Problems) *requests {
	r := &requests{method: s.Method, agent: agent}
	if r.method == "" {
		r.method = http.MethodGet
	}
	if s.UserAgent != "" {
		r.agent = s.UserAgent
	}
	r.compileURL(s.URL, problems, "url")
	for _, name := range slices.Sorted(maps.Keys(s.Query)) {
		if t, ok := compile(s.Query[name], always(inPlain), problems, "query", name); ok {
			r.addQuery(parameter{name: name, value: t})
		}
	}
	contentType := ""
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		if strings.EqualFold(name, "Content-Type") {
			contentType = s.Headers[name]
		}
		if t, ok := compile(s.Headers[name], always(inHeader), problems, "headers", name); ok {
			r.headers = append(r.headers, header{name: http.CanonicalHeaderKey(name), value: t})
		}
	}
	if t, ok := compile(s.Body, placesOfBody(s.Body, contentType), problems, "body"); ok {
		r.body = t
	}
	if s.Body != "" && contentType == "" {
		r.guessType(s.Body)
	}
	return r
}

// compile parses one text and reports what is wrong with it at key.
func compile(text string, where func(int) place, problems *setting.Problems, key ...string) (template, bool) {
	t, err := parseTemplate(text, where)
	if err != nil {
		problems.Add(setting.Hint(err), err.Error(), key...)
		return template{}, false
	}
	return t, true
}

// compileURL reads the URL that stands at key.
func (r *requests) compileURL(text string, problems *setting.Problems, key ...string) {
	before, query, _ := strings.Cut(text, "?")
	if err := outbound.Misprint(text); err != nil {
		problems.Add(setting.Hint(err), err.Error(), key...)
		return
	}
	origin := originPrefix(before)
	if strings.ContainsAny(origin, "{}") {
		problems.Add("placeholders are for the path and the query", "there is a placeholder in the host", key...)
		return
	}
	target, err := outbound.ParseTarget(origin)
	if err != nil {
		problems.Add(urlHint(err), fmt.Sprintf("%q cannot be polled: %s", displayURL(before), err), key...)
		return
	}
	r.target = target
	base, ok := compile(before, always(inPath), problems, key...)
	if !ok {
		return
	}
	r.base = base
	if _, err := r.render(values{}); err != nil {
		problems.Add(urlHint(err), fmt.Sprintf("%q cannot be polled: %s", displayURL(before), err), key...)
		return
	}
	for segment := range strings.SplitSeq(query, "&") {
		if t, ok := compile(segment, always(inQuery), problems, key...); ok && segment != "" {
			r.addQuery(parameter{value: t})
		}
	}
}

func urlHint(err error) string {
	if strings.Contains(err.Error(), "user name or password") {
		return `put them into auth = { kind = "basic", username = "…", password = "env:NAME" }`
	}
	return `write "https://host/path" or "unix:/path.sock:/http/path"`
}

// displayURL leaves user information out of a message about a URL.
func displayURL(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	host, path, slash := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = "…" + host[at:]
	}
	if slash {
		path = "/" + path
	}
	return scheme + "://" + host + path
}

// originPrefix cuts a URL behind its host.
func originPrefix(text string) string {
	start := 0
	socket, isSocket := strings.CutPrefix(text, "unix:")
	if isSocket {
		colon := strings.IndexByte(socket, ':')
		if colon < 0 {
			return text
		}
		start = len("unix:") + colon + 2
	} else if i := strings.Index(text, "://"); i >= 0 {
		start = i + len("://")
	}
	start = min(start, len(text))
	if slash := strings.IndexByte(text[start:], '/'); slash >= 0 && !isSocket {
		return text[:start+slash]
	}
	if isSocket {
		return text[:start]
	}
	return text
}

func (r *requests) addQuery(p parameter) {
	if len(p.value.secretRefs()) > 0 {
		r.secret = append(r.secret, p)
		return
	}
	r.query = append(r.query, p)
}

func (r *requests) guessType(body string) {
	kind := ""
	switch placesOfBody(body, "")(0) {
	case inJSON:
		kind = "application/json"
	case inXML:
		kind = "text/xml; charset=utf-8"
	case inPlain, inPath, inQuery, inHeader, inJSONText:
		return
	}
	r.headers = append(r.headers, header{name: "Content-Type", value: template{parts: []part{{text: kind}}}})
}

// uses says whether a placeholder stands anywhere.
func (r *requests) uses(name string) bool {
	found := r.base.uses(name) || r.body.uses(name)
	for _, p := range slices.Concat(r.query, r.secret) {
		found = found || p.value.uses(name)
	}
	for _, h := range r.headers {
		found = found || h.value.uses(name)
	}
	return found
}

// references lists the secrets that the request needs, by the key where they stand.
func (r *requests) references() map[string][]setting.Secret {
	refs := map[string][]setting.Secret{"url": r.base.secretRefs(), "body": r.body.secretRefs()}
	for _, p := range r.secret {
		key := "url"
		if p.name != "" {
			key = "query." + p.name
		}
		refs[key] = append(refs[key], p.value.secretRefs()...)
	}
	for _, h := range r.headers {
		refs["headers."+h.name] = h.value.secretRefs()
	}
	return refs
}

// render gives the URL without its secret parameters.
func (r *requests) render(v values) (*url.URL, error) {
	text, err := r.base.render(v)
	if err != nil {
		return nil, err
	}
	t, err := outbound.ParseTarget(text)
	if err != nil {
		return nil, err
	}
	query := make([]string, 0, len(r.query))
	for _, p := range r.query {
		segment, err := p.value.render(v)
		if err != nil {
			return nil, err
		}
		if p.name != "" {
			segment = url.QueryEscape(p.name) + "=" + url.QueryEscape(segment)
		}
		query = append(query, segment)
	}
	t.URL.RawQuery = strings.Join(query, "&")
	return t.URL, nil
}

// plain gives name and value of a parameter without escapes.
func (p parameter) plain(v values) (name, value string, err error) {
	text, err := p.value.render(v)
	if err != nil {
		return "", "", err
	}
	if p.name != "" {
		v.secrets.Remember(url.QueryEscape(text))
		return p.name, text, nil
	}
	name, value, _ = strings.Cut(text, "=")
	if name, err = url.QueryUnescape(name); err == nil {
		value, err = url.QueryUnescape(value)
	}
	if err != nil {
		return "", "", errors.New("the query of url is not escaped rightly")
	}
	return name, value, nil
}

// build makes the request of one page: the one at the given URL, or, when that is nil, the configured one.
func (r *requests) build(v values, at *url.URL) (outbound.Request, error) {
	q := outbound.Request{Method: r.method, URL: at, Header: http.Header{}, Credentials: http.Header{}, SecretQuery: url.Values{}}
	if at == nil {
		u, err := r.render(v)
		if err != nil {
			return q, err
		}
		q.URL = u
		for _, p := range v.params {
			q.URL = setParam(q.URL, p.name, p.value)
		}
	}
	body, err := r.body.render(v)
	if err != nil {
		return q, err
	}
	if body != "" {
		q.Body = []byte(body)
	}
	if err := r.fillHeaders(&q, v); err != nil {
		return q, err
	}
	for _, p := range r.secret {
		name, value, err := p.plain(v)
		if err != nil {
			return q, err
		}
		q.SecretQuery.Add(name, value)
	}
	return q, nil
}

// fillHeaders sets what every host may see on Header and all that was configured on Credentials: nobody can tell which
// header has a key in it, so only the origin gets them.
func (r *requests) fillHeaders(q *outbound.Request, v values) error {
	q.Header.Set("Accept", "application/json, */*;q=0.5")
	q.Header.Set("User-Agent", r.agent)
	for _, h := range r.headers {
		value, err := h.value.render(v)
		if err != nil {
			return fmt.Errorf("header %s: %w", h.name, err)
		}
		switch h.name {
		case "Accept", "Accept-Language", "User-Agent":
			q.Header.Set(h.name, value)
		default:
			q.Credentials.Set(h.name, value)
		}
	}
	return nil
}

// setParam sets a query parameter of u, replacing one that is there.
func setParam(u *url.URL, name, value string) *url.URL {
	var kept []string
	for segment := range strings.SplitSeq(u.RawQuery, "&") {
		key, _, _ := strings.Cut(segment, "=")
		if plain, err := url.QueryUnescape(key); segment != "" && (err != nil || plain != name) {
			kept = append(kept, segment)
		}
	}
	out := *u
	out.RawQuery = strings.Join(append(kept, url.QueryEscape(name)+"="+url.QueryEscape(value)), "&")
	return &out
}
