package setting

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Secret is a reference to a secret value: "env:NAME", "file:/path", "cred:NAME" (systemd's $CREDENTIALS_DIRECTORY), or the
// value itself. It never prints: not with fmt, not as text or JSON.
//
// It is small where there is none: most configurations have places for many of them, and few of these are taken.
type Secret struct{ of *secret }

// secret is what a Secret is; it is never changed.
type secret struct {
	ref      string
	id       string
	notAfter time.Time
}

// NewSecret makes a secret from its reference.
func NewSecret(ref string) Secret { return newSecret(secret{ref: ref}) }

func newSecret(is secret) Secret {
	if is == (secret{}) {
		return Secret{}
	}
	return Secret{&is}
}

func (s Secret) is() secret {
	if s.of == nil {
		return secret{}
	}
	return *s.of
}

// With gives the secret a name and an end of its use; both may be zero.
func (s Secret) With(id string, notAfter time.Time) Secret {
	return newSecret(secret{s.is().ref, id, notAfter})
}

// ID is the name of the secret for those who hold several; it may be empty.
func (s Secret) ID() string { return s.is().id }

// NotAfter is when the secret stops being used; zero: never.
func (s Secret) NotAfter() time.Time { return s.is().notAfter }

// UnmarshalText takes the reference.
func (s *Secret) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return &HintedError{Message: "the secret is empty", Hint: "write \"env:NAME\", \"file:/path\" or \"cred:NAME\""}
	}
	*s = newSecret(secret{string(text), s.ID(), s.NotAfter()})
	return nil
}

// MarshalText gives the reference when it is one and a mask when the value itself stands there.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String gives the reference when it is one and a mask when the value itself stands there.
func (s Secret) String() string {
	if s.IsZero() || !s.IsLiteral() {
		return s.Reveal()
	}
	return "(secret)"
}

// Format keeps every verb from printing the value.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'q' {
		text = strconv.Quote(text)
	}
	_, _ = io.WriteString(f, text)
}

// IsZero says whether no secret was given.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// IsLiteral says whether the value itself stands in the configuration.
func (s Secret) IsLiteral() bool {
	kind, _, ok := strings.Cut(s.Reveal(), ":")
	return !ok || !slices.Contains([]string{"env", "file", "cred"}, kind)
}

// Reveal gives what was written, also when it is the value itself: to compare, not to show.
func (s Secret) Reveal() string { return s.is().ref }

// ErrUnset means that a secret reference leads nowhere.
var ErrUnset = errors.New("secret is not set")

// Secrets resolves references. Files are read again when they change; each value that was handed out is remembered, so
// that Redact can take it out of any text. The zero value resolves literals and files only.
type Secrets struct {
	LookupEnv      func(name string) (string, bool) // nil: no environment
	CredentialsDir string                           // systemd's $CREDENTIALS_DIRECTORY; empty: none

	mu    sync.Mutex
	files map[string]secretFile
	known []string
	met   map[string]struct{} // values of which all forms are known
}

type secretFile struct {
	value string
	mtime time.Time
	size  int64
}

// Resolve gives the value. The error wraps ErrUnset when the variable, file or credential does not exist or is empty, and
// carries a hint.
func (s *Secrets) Resolve(ref Secret) (string, error) {
	value, err := s.lookup(ref)
	if err != nil {
		return "", err
	}
	s.remember(value)
	return value, nil
}

func (s *Secrets) lookup(ref Secret) (string, error) {
	kind, name, _ := strings.Cut(ref.Reveal(), ":")
	switch {
	case ref.IsLiteral():
		return ref.Reveal(), nil
	case kind == "env":
		if s.LookupEnv != nil {
			if v, ok := s.LookupEnv(name); ok && v != "" {
				return v, nil
			}
		}
		return "", unset(ref, fmt.Sprintf("export %s, or use \"file:/run/secrets/NAME\" or \"cred:NAME\" (systemd LoadCredential)", name))
	case kind == "cred":
		if s.CredentialsDir == "" {
			return "", unset(ref, "$CREDENTIALS_DIRECTORY is not set; add LoadCredential="+name+":/path to the unit")
		}
		return s.file(ref, filepath.Join(s.CredentialsDir, filepath.Base(name)))
	}
	return s.file(ref, name)
}

func (s *Secrets) file(ref Secret, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", unset(ref, "the file cannot be read: "+cause(err))
	}
	s.mu.Lock()
	old, ok := s.files[path]
	s.mu.Unlock()
	if ok && old.mtime.Equal(info.ModTime()) && old.size == info.Size() {
		return old.value, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", unset(ref, "the file cannot be read: "+cause(err))
	}
	value := strings.TrimRight(string(raw), "\r\n")
	if value == "" {
		return "", unset(ref, "the file "+path+" is empty")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files = map[string]secretFile{}
	}
	s.files[path] = secretFile{value: value, mtime: info.ModTime(), size: info.Size()}
	return value, nil
}

func cause(err error) string {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

func unset(ref Secret, hint string) error {
	return fmt.Errorf("%w", &unsetError{HintedError{Message: "secret " + ref.Reveal() + " is not set", Hint: hint}})
}

type unsetError struct{ HintedError }

func (e *unsetError) Error() string        { return e.Message }
func (e *unsetError) Unwrap() error        { return &e.HintedError }
func (e *unsetError) Is(target error) bool { return target == ErrUnset }

// remember keeps values that are long enough to be recognised; shorter ones would blot out ordinary text.
func (s *Secrets) remember(value string) {
	const recognisable = 6
	if len(value) < recognisable {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.met[value]; ok { // each request resolves its secrets
		return
	}
	if s.met == nil {
		s.met = map[string]struct{}{}
	}
	s.met[value] = struct{}{}
	for _, form := range formsOf(value) {
		if !slices.Contains(s.known, form) {
			s.known = append(s.known, form)
		}
	}
	// A value may begin with another one, so the longest go first.
	slices.SortStableFunc(s.known, func(a, b string) int { return len(b) - len(a) })
}

// formsOf gives the ways in which a value may stand in a text: as it is, in a URL, in HTML or XML, and any of these in a JSON string.
func formsOf(value string) []string {
	query := url.QueryEscape(value)
	forms := []string{value, query, strings.ReplaceAll(query, "+", "%20"), url.PathEscape(value), url.User(value).String(), html.EscapeString(value)}
	for _, form := range forms[1:5] {
		forms = append(forms, lowerHex(form))
	}
	for _, form := range slices.Clone(forms) {
		if quoted, err := json.Marshal(form); err == nil {
			inside := string(quoted[1 : len(quoted)-1])
			forms = append(forms, inside, strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(inside))
		}
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// lowerHex writes the escapes of a URL in lower case, as some servers do.
func lowerHex(text string) string {
	return regexp.MustCompile(`%[0-9A-F]{2}`).ReplaceAllStringFunc(text, strings.ToLower)
}

// Remember makes Redact take out a value that did not come from a reference, for example a token that was fetched.
func (s *Secrets) Remember(value string) { s.remember(value) }

// Redact replaces each value that was resolved before by "(secret)".
func (s *Secrets) Redact(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.known {
		text = strings.ReplaceAll(text, v, "(secret)")
	}
	return text
}

// RedactHead is Redact for a text that was cut off: the beginning of a value at its end is taken out, too.
func (s *Secrets) RedactHead(text string) string {
	text = s.Redact(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	const recognisable = 4
	longest := 0
	for _, v := range s.known {
		for n := min(len(v)-1, len(text)); n >= max(recognisable, longest+1); n-- {
			if strings.HasSuffix(text, v[:n]) {
				longest = n
				break
			}
		}
	}
	if longest == 0 {
		return text
	}
	return text[:len(text)-longest] + "(secret)"
}
