package setting

import "strings"

// File names a text of some size, like a certificate: the path of a file, "file:/path", "cred:NAME", or "env:NAME" for a
// variable that has the text itself. The zero value names none.
type File string

// UnmarshalText takes a path or a reference. The text itself is refused: it may be a private key.
func (f *File) UnmarshalText(text []byte) error {
	switch s := string(text); {
	case s == "":
		return &HintedError{Message: "the path is empty", Hint: `write "/path/to/file.pem", or leave the key out`}
	case strings.Contains(s, "-----BEGIN"):
		return &HintedError{Message: "the text itself stands there, not the path of its file", Hint: `write it to a file and name that: "/path/to/file.pem"`}
	default:
		*f = File(s)
	}
	return nil
}

// MarshalText gives what was written.
func (f File) MarshalText() ([]byte, error) { return []byte(f), nil }

// Secret gives the reference under which the text can be resolved.
func (f File) Secret() Secret {
	if s := NewSecret(string(f)); f == "" || !s.IsLiteral() {
		return s
	}
	return NewSecret("file:" + string(f))
}

// Text gives the text that f names, read again when its file changes. Redact does not take it out of other texts: it is too
// long to stand in one.
func (s *Secrets) Text(f File) (string, error) { return s.lookup(f.Secret()) }
