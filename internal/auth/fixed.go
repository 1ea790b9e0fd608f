package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// fixed proves with secrets that somebody else changes: they are read for each request.
type fixed struct {
	bound
	kind    string
	refs    []namedSecret
	secrets *setting.Secrets
	apply   func(req *http.Request, values []string) error
	wrap    func(f *fixed, base http.RoundTripper) http.RoundTripper // nil: the transport does nothing

	mu     sync.Mutex
	print  [sha256.Size]byte // of the values
	serial uint64
}

func newFixed(c *Config, o Options) (Authenticator, error) {
	f := &fixed{bound: bind(o.Origin), kind: c.Kind, refs: c.secretRefs(), secrets: o.Secrets}
	switch c.Kind {
	case KindBasic:
		f.apply = f.basic(c.Username)
	case KindBearer:
		f.apply = f.token(placement{header: headerAuthorization, prefix: "Bearer"})
	case KindHeader:
		f.apply = f.token(placement{header: http.CanonicalHeaderKey(c.Header), prefix: c.Prefix})
	case KindQuery:
		f.apply = f.token(placement{param: c.Param})
	case KindHMAC:
		s, problems := newSigner(c)
		if len(problems) > 0 {
			return nil, problems[0]
		}
		s.now = o.Now
		f.apply = func(req *http.Request, values []string) error { return s.sign(req, values[0]) }
	case KindDigest:
		f.apply, f.wrap = onlyTransport, digestTransport(c.Username)
	case KindNTLM:
		f.apply, f.wrap = onlyTransport, ntlmTransport(c.Username)
	default:
		return nil, fmt.Errorf("auth: kind %q does not exist", c.Kind)
	}
	return f, nil
}

// onlyTransport leaves the proof to the transport.
func onlyTransport(*http.Request, []string) error { return nil }

func (f *fixed) token(place placement) func(*http.Request, []string) error {
	return func(req *http.Request, values []string) error { return place.put(req, values[0]) }
}

// basic takes the password and the user name out of the values, in the order of secretRefs.
func (f *fixed) basic(username string) func(*http.Request, []string) error {
	return func(req *http.Request, values []string) error {
		user, password := username, ""
		for i, s := range f.refs {
			if s.key == "password" {
				password = values[i]
			} else {
				user = values[i]
			}
		}
		if strings.Contains(user, ":") {
			return secretErrorf("", "the user name has a colon in it, which cannot be sent (RFC 7617)")
		}
		encoded := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		f.secrets.Remember(encoded)
		req.Header.Set(headerAuthorization, "Basic "+encoded)
		return nil
	}
}

// Authorize reads the secrets and applies them.
func (f *fixed) Authorize(_ context.Context, req *http.Request) (Proof, error) {
	if err := f.check(req); err != nil {
		return Proof{}, err
	}
	values, err := f.values(f.secrets.Resolve)
	if err != nil {
		return Proof{}, secretError(err)
	}
	if err := f.apply(req, values); err != nil {
		return Proof{}, err
	}
	return Proof{f.number(values)}, nil
}

func (f *fixed) values(read func(setting.Secret) (string, error)) ([]string, error) {
	values := make([]string, len(f.refs))
	for i, s := range f.refs {
		value, err := read(s.ref)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

// number gives the serial of the values: a new one when they are not those of the last time.
func (f *fixed) number(values []string) uint64 {
	print := fingerprint(values...)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.serial == 0 || print != f.print {
		f.serial++
		f.print = print
	}
	return f.serial
}

// Answered reads the secrets again when they were refused, even when their files look unchanged.
func (f *fixed) Answered(_ context.Context, p Proof, a Answer) (bool, error) {
	switch judge(a, nil, differ.Condition{}) {
	case accepted, limited:
		return false, nil
	case refused, forbidden:
	}
	values, err := f.values(f.secrets.Reread)
	if err != nil {
		return false, secretError(err)
	}
	if f.number(values) != p.serial {
		return true, nil
	}
	return false, &Error{
		Reason: ReasonRefused, Status: a.Status,
		Message: fmt.Sprintf("%s refused the credentials (%d)", f.host, a.Status),
		Hint:    f.hint(a.Status),
	}
}

func (f *fixed) hint(status int) string {
	what := make([]string, len(f.refs))
	for i, s := range f.refs {
		what[i] = fmt.Sprintf("auth.%s (%s)", s.key, s.ref)
	}
	hint := "check " + strings.Join(what, " and ")
	switch f.kind {
	case KindBasic, KindDigest, KindNTLM:
		hint += ", and the user name"
	case KindHMAC:
		hint += ", auth.content and the clock of this machine"
	}
	if status == http.StatusForbidden {
		hint += ", and whether this account may read the address"
	}
	return hint
}

// Peeks says no: credentials that do not change by themselves do not expire inside an answer.
func (f *fixed) Peeks(http.Header) bool { return false }

// Transport wraps base for the kinds that are negotiated.
func (f *fixed) Transport(base http.RoundTripper) http.RoundTripper {
	if f.wrap == nil {
		return base
	}
	return f.wrap(f, base)
}

// fingerprint tells lists of texts apart.
func fingerprint(texts ...string) [sha256.Size]byte {
	h := sha256.New()
	for _, text := range texts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(text), text)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
