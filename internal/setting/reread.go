package setting

import (
	"path/filepath"
	"strings"
)

// Reread is Resolve for a value that did not do: a file is read even when its time and size are as before, because a tool that
// copies a secret of the same length may keep the time.
func (s *Secrets) Reread(ref Secret) (string, error) {
	kind, name, _ := strings.Cut(ref.Reveal(), ":")
	if !ref.IsLiteral() && kind != "env" {
		if kind == "cred" {
			name = filepath.Join(s.CredentialsDir, filepath.Base(name))
		}
		s.mu.Lock()
		delete(s.files, name)
		s.mu.Unlock()
	}
	return s.Resolve(ref)
}

// Renew makes Resolve read every file again, for the same reason.
func (s *Secrets) Renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.files)
}
