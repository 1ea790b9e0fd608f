package scaffold

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/guess"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// line is a key of the source with its value in TOML.
type line struct{ key, value string }

func (d *drafter) has(key string) bool {
	return slices.ContainsFunc(d.keys, func(l line) bool { return l.key == key || strings.HasPrefix(l.key, key+".") })
}

func (d *drafter) put(key, value string) { d.keys = append(d.keys, line{key, value}) }

// prepare turns the options into keys of the source. Secrets stay references: their values are never written.
func (d *drafter) prepare() error {
	o := &d.o
	if err := refuseSecrets(o.URL); err != nil {
		return err
	}
	if o.Name == "" {
		o.Name = "api"
		if u, err := url.Parse(o.URL); err == nil {
			o.Name = guess.SourceName(u.Path)
		}
	}
	if o.Every == "" {
		o.Every = "5m"
	}
	d.put("url", quote(o.URL))
	if m := d.method(); m != http.MethodGet {
		d.put("method", quote(m))
	}
	if o.Body != "" {
		d.put("body", text(o.Body))
	}
	d.put("every", quote(o.Every))
	if err := d.headers(); err != nil {
		return err
	}
	if err := d.user("basic"); err != nil { // until the server was asked
		return err
	}
	if err := d.set(); err != nil {
		return err
	}
	_, err := d.request() // all that is wrong with it is said before anybody is asked
	return err
}

func (d *drafter) method() string {
	switch {
	case d.o.Method != "":
		return strings.ToUpper(d.o.Method)
	case d.o.Body != "":
		return http.MethodPost
	}
	return http.MethodGet
}

// refuseSecrets keeps what would be written into the file out of it.
func refuseSecrets(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return nil //nolint:nilerr // the configuration says it better
	}
	if u.User != nil {
		return &setting.HintedError{Message: "the url has a user name or password in it", Hint: "--user NAME:env:PASSWORD"}
	}
	for name, values := range u.Query() {
		if setting.Secretive(name) && !strings.Contains(values[0], "{secret:") {
			return &setting.HintedError{
				Message: "the url has a secret in it, to judge by its parameter " + name,
				Hint:    fmt.Sprintf("export it, and write %s={secret:env:NAME}: only the reference goes into the file", name),
			}
		}
	}
	return nil
}

// reference finds a reference to a secret that stands alone or behind a word, as in "Bearer env:TOKEN".
func reference() *regexp.Regexp {
	return regexp.MustCompile(`(^|[\s=])((?:env:[A-Za-z_]\w*)|(?:file:/\S+)|(?:cred:[\w.-]+))`)
}

func (d *drafter) headers() error {
	var table []string
	for _, h := range d.o.Headers {
		name, value, ok := strings.Cut(h, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || value == "" {
			return &setting.HintedError{Message: fmt.Sprintf("%q is not a header", h), Hint: "--header 'Authorization: Bearer env:TOKEN'"}
		}
		secret := reference().FindStringSubmatch(value)
		if setting.Secretive(name) && secret == nil && !strings.Contains(value, "{secret:") {
			return &setting.HintedError{
				Message: fmt.Sprintf("the value of %s looks like a secret, and would stand in the file", name),
				Hint:    fmt.Sprintf("export it, and write --header '%s: %senv:NAME': only the reference goes into the file", name, scheme(value)),
			}
		}
		if strings.EqualFold(name, "Authorization") && secret != nil && strings.EqualFold(strings.TrimSpace(strings.TrimSuffix(value, secret[2])), "bearer") {
			d.put("auth", fmt.Sprintf(`{ kind = "bearer", token = %s }`, quote(secret[2])))
			continue
		}
		table = append(table, fmt.Sprintf("%s = %s", quoteKey(name), quote(reference().ReplaceAllString(value, "$1{secret:$2}"))))
	}
	if len(table) > 0 {
		d.put("headers", "{ "+strings.Join(table, ", ")+" }")
	}
	return nil
}

// scheme gives the scheme of an Authorization header with a blank, if there is one.
func scheme(value string) string {
	if first, _, ok := strings.Cut(value, " "); ok {
		return first + " "
	}
	return ""
}

// user sets name and password for a kind of proof.
func (d *drafter) user(kind string) error {
	if d.o.User == "" {
		return nil
	}
	name, password, _ := strings.Cut(d.o.User, ":")
	if setting.NewSecret(password).IsLiteral() || password == "" {
		return &setting.HintedError{Message: "the password of --user is not a reference, and would stand in the file", Hint: "export it, and write --user " + name + ":env:PASSWORD"}
	}
	d.keys = slices.DeleteFunc(d.keys, func(l line) bool { return l.key == "auth" })
	d.put("auth", fmt.Sprintf("{ kind = %s, username = %s, password = %s }", quote(kind), quote(name), quote(password)))
	return nil
}

// set takes the keys that were given as TOML, which win over what the other options make.
func (d *drafter) set() error {
	for _, s := range d.o.Set {
		key, value, ok := strings.Cut(s, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" || value == "" || strings.ContainsAny(value, "\r\n") {
			return &setting.HintedError{Message: fmt.Sprintf("%q is not a line of a configuration", s), Hint: `--set 'timeout = "2m"'`}
		}
		d.keys = slices.DeleteFunc(d.keys, func(l line) bool { return l.key == key })
		d.put(key, value)
		switch {
		case key == "records" && d.o.Records == "":
			d.o.Records = strings.Trim(value, `"'`)
		case key == "key" && len(d.o.Key) == 0:
			for name := range strings.SplitSeq(strings.Trim(value, "[]"), ",") {
				d.o.Key = append(d.o.Key, strings.Trim(name, ` "'`))
			}
		}
	}
	d.keys = slices.DeleteFunc(d.keys, func(l line) bool { return l.key == "records" || l.key == "key" })
	return nil
}

// sample asks for the first answer. With a name and a password it asks without them first, to learn which proof the server
// wants.
func (d *drafter) sample(ctx context.Context) (*poller.Sample, error) {
	if d.o.User != "" {
		kind, err := d.proof(ctx)
		if err != nil {
			return nil, err
		}
		if err := d.user(kind); err != nil {
			return nil, err
		}
	}
	s, err := d.ask(ctx)
	return s, d.explained(s, err)
}

// proof gives the kind of proof that a server asks for: basic unless it offers others only.
func (d *drafter) proof(ctx context.Context) (string, error) {
	const fallback = "basic"
	with := d.keys
	d.keys = slices.DeleteFunc(slices.Clone(with), func(l line) bool { return l.key == "auth" })
	defer func() { d.keys = with }()
	s, err := d.ask(ctx)
	switch {
	case s == nil:
		return "", err
	case s.Status != http.StatusUnauthorized || slices.Contains(schemes(s.Header), fallback):
		return fallback, nil
	}
	for _, kind := range []string{"digest", "ntlm"} {
		if slices.Contains(schemes(s.Header), kind) {
			return kind, nil
		}
	}
	return fallback, nil
}

// request gives a source that is good for nothing but asking.
func (d *drafter) request() (*poller.Source, error) {
	var b strings.Builder
	d.head(&b)
	switch { // nothing is read yet, and something has to be said
	case d.has("single"):
	case d.has("cursor"), d.has("deletes"), d.has("pages"), d.has("detail"):
		b.WriteString("key = \"id\"\n")
	default:
		b.WriteString("single = true\n")
	}
	return d.parse([]byte(b.String()))
}

func (d *drafter) ask(ctx context.Context) (*poller.Sample, error) {
	source, err := d.request()
	if err != nil {
		return nil, err
	}
	source.Response.MaxBody = mostBytes
	d.requests++
	return poller.TakeSample(ctx, *source, d.options())
}

// mostBytes bounds the answer that is looked at as a whole.
const mostBytes = 32 << 20

func (d *drafter) options() poller.Options {
	return poller.Options{Secrets: d.secrets, UserAgent: d.o.UserAgent}
}

// schemes lists what a server accepts as a proof, in lower case: "basic", "bearer", "digest", "ntlm".
func schemes(h http.Header) []string {
	var found []string
	for _, challenge := range h.Values("WWW-Authenticate") {
		for _, name := range []string{"Basic", "Bearer", "Digest", "NTLM", "Negotiate"} {
			if regexp.MustCompile(`(?i)(^|,\s*)` + name + `\b`).MatchString(challenge) {
				if name == "Negotiate" {
					name = "NTLM"
				}
				found = append(found, strings.ToLower(name))
			}
		}
	}
	return found
}

// explained says what to do about an answer that wants credentials.
func (d *drafter) explained(s *poller.Sample, err error) error {
	if err != nil && s != nil && s.Status == http.StatusMethodNotAllowed {
		return &setting.HintedError{Message: err.Error(), Hint: "the API takes another method: --method, or --body for a POST" + allowed(s.Header)}
	}
	if err == nil || s == nil || s.Status != http.StatusUnauthorized && s.Status != http.StatusForbidden {
		return err
	}
	given := d.has("auth") || d.has("headers")
	if given {
		return &setting.HintedError{Message: err.Error() + ": the credentials were not accepted", Hint: "are they right, and is this the header that the API wants?" + wanted(s.Header)}
	}
	const byHeader, byUser = "--header 'Authorization: Bearer env:TOKEN'", "--user NAME:env:PASSWORD"
	hint := "give credentials: "
	switch known := schemes(s.Header); {
	case len(known) == 0:
		hint += byHeader + ", --header 'X-Api-Key: env:KEY' or " + byUser + "; the server does not say which (see its documentation). A login with a session: --set 'auth = { kind = \"login\", … }'"
	case known[0] == "bearer":
		hint += byHeader
	default:
		hint += byUser
	}
	return &setting.HintedError{Message: err.Error(), Hint: hint + wanted(s.Header)}
}

func allowed(h http.Header) string {
	if allow := h.Get("Allow"); allow != "" {
		return " (the server says: " + allow + ")"
	}
	return ""
}

func wanted(h http.Header) string {
	if all := strings.Join(h.Values("WWW-Authenticate"), ", "); all != "" {
		return " (the server says: " + all + ")"
	}
	return ""
}
