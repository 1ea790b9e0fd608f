package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"

	"github.com/deltahook/deltahook/internal/setting"
)

// TLS says whom a connection trusts and how it shows who it is, the table tls of a source and of a webhook. The zero value
// trusts the authorities of the system and asks for TLS 1.2 at least.
type TLS struct {
	CA          setting.File   `toml:"ca"`           // PEM; instead of the authorities of the system
	Cert        setting.File   `toml:"cert"`         // PEM, of the client, with the chain behind it
	Key         setting.File   `toml:"key"`          // PEM, of cert; may be in the same file
	KeyPassword setting.Secret `toml:"key_password"` // when key is encrypted
	ServerName  string         `toml:"server_name"`  // that the certificate must be for; empty: the host of the URL
	MinVersion  string         `toml:"min_version"`  // "1.0", "1.1", "1.2", "1.3"; empty: 1.2
	Insecure    bool           `toml:"insecure"`     // any certificate will do
}

// versionOf gives the number of a version of TLS.
func versionOf(name string) (uint16, bool) {
	switch name {
	case "1.0":
		return tls.VersionTLS10, true
	case "1.1":
		return tls.VersionTLS11, true
	case "1.2", "":
		return tls.VersionTLS12, true
	case "1.3":
		return tls.VersionTLS13, true
	}
	return 0, false
}

// IsZero says whether nothing is configured.
func (t *TLS) IsZero() bool { return *t == TLS{} }

// Elsewhere gives what counts for hosts that the configuration does not name as the server: they are not shown who asks, and
// are not trusted blindly.
func (t TLS) Elsewhere() TLS { return TLS{CA: t.CA, MinVersion: t.MinVersion} }

// Validate reports all that is wrong with the table; keys are relative to it. Files are read; nil secrets skip that.
func (t *TLS) Validate(secrets *setting.Secrets) setting.Problems {
	var p setting.Problems
	version, ok := versionOf(t.MinVersion)
	switch {
	case !ok:
		p.Add(`write "1.2", "1.3", or "1.0" and "1.1" for old servers`, fmt.Sprintf("min_version = %q does not exist", t.MinVersion), "min_version")
	case version < tls.VersionTLS12:
		p.Warn("use it for servers that know nothing better, inside a network that you trust",
			fmt.Sprintf("min_version = %q allows versions and ciphers of TLS that can be broken", t.MinVersion), "min_version")
	}
	if t.Insecure {
		p.Warn(`write ca = "/path/to/ca.pem" to trust that server's own certificate`,
			"insecure = true: anybody on the way can read and change everything, credentials too", "insecure")
		if t.CA != "" {
			p.Add("remove one of them", "ca and insecure are both set: nothing would be checked against ca", "ca")
		}
	}
	if t.CA != "" && secrets != nil {
		if _, err := t.authorities(secrets); err != nil {
			p.Add(setting.Hint(err), err.Error(), "ca")
		}
	}
	t.validatePair(secrets, &p)
	return p
}

func (t *TLS) validatePair(secrets *setting.Secrets, p *setting.Problems) {
	switch {
	case t.Cert == "" && t.Key != "":
		p.Add(`write cert = "/path/to/client.pem"`, "key has no cert", "key")
	case t.Cert == "" && !t.KeyPassword.IsZero():
		p.Add("remove it", "key_password has no key", "key_password")
	case t.Cert != "" && secrets != nil:
		if _, err := t.pair(secrets); err != nil {
			key := "cert"
			if at, ok := errors.AsType[*keyError](err); ok {
				key = at.key
			}
			p.Add(setting.Hint(err), err.Error(), key)
		}
	}
}

// Config builds what the table says. A file that cannot be used is an error, never a connection that trusts more or shows less.
// The certificate of the client is read again when its file changes.
func (t *TLS) Config(secrets *setting.Secrets) (*tls.Config, error) {
	version, ok := versionOf(t.MinVersion)
	if !ok {
		return nil, fmt.Errorf("tls.min_version = %q does not exist", t.MinVersion)
	}
	c := &tls.Config{MinVersion: version, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure} //nolint:gosec // what the configuration asks for; Validate warns
	if version < tls.VersionTLS12 {
		allowLegacy(c)
	}
	if t.CA != "" {
		pool, err := t.authorities(secrets)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		c.RootCAs = pool
	}
	if t.Cert != "" {
		shown := &shownPair{t: *t, secrets: secrets}
		if _, err := shown.get(nil); err != nil {
			return nil, err
		}
		c.GetClientCertificate = shown.get
	}
	return c, nil
}

// allowLegacy adds what servers of the time before TLS 1.2 need: all ciphers that Go has, and a server that asks for the
// client's certificate only when it knows the address.
func allowLegacy(c *tls.Config) {
	c.Renegotiation = tls.RenegotiateFreelyAsClient
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		c.CipherSuites = append(c.CipherSuites, suite.ID)
	}
}

// authorities reads ca.
func (t *TLS) authorities(secrets *setting.Secrets) (*x509.CertPool, error) {
	text, err := secrets.Text(t.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(text)) {
		return nil, &setting.HintedError{
			Message: fmt.Sprintf("there is no certificate in %s", t.CA),
			Hint:    "a file in PEM format is needed, with -----BEGIN CERTIFICATE----- in it",
		}
	}
	return pool, nil
}

// keyError is an error of one of the keys cert, key and key_password.
type keyError struct {
	key string
	err error
}

func (e *keyError) Error() string { return e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

// pair reads cert and key.
func (t *TLS) pair(secrets *setting.Secrets) (*tls.Certificate, error) {
	cert, err := secrets.Text(t.Cert)
	if err != nil {
		return nil, &keyError{"cert", err}
	}
	from, key := t.Cert, cert
	if t.Key != "" {
		from = t.Key
		if key, err = secrets.Text(t.Key); err != nil {
			return nil, &keyError{"key", err}
		}
	}
	if key, err = t.openKey(key, secrets); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		return nil, &keyError{"cert", &setting.HintedError{
			Message: fmt.Sprintf("%s and the key in %s cannot be used together: %s", t.Cert, from, err),
			Hint:    "both have to be in PEM format, and the key has to be that of the first certificate",
		}}
	}
	return &pair, nil
}

// shownPair is the certificate that a client shows. It is made anew when the text of its files has changed; a file that is
// gone or broken then is an error, so that the server is never asked as somebody else.
type shownPair struct {
	t       TLS
	secrets *setting.Secrets

	mu   sync.Mutex
	from [3]string
	pair *tls.Certificate
}

func (s *shownPair) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair, err := s.read()
	if err != nil {
		return nil, &UnreadyError{err}
	}
	return pair, nil
}

func (s *shownPair) read() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var from [3]string
	for i, f := range []setting.File{s.t.Cert, s.t.Key} {
		if f == "" {
			continue
		}
		text, err := s.secrets.Text(f)
		if err != nil {
			return nil, fmt.Errorf("the certificate of the client: %w", err)
		}
		from[i] = text
	}
	if !s.t.KeyPassword.IsZero() {
		password, err := s.secrets.Resolve(s.t.KeyPassword)
		if err != nil {
			return nil, fmt.Errorf("tls.key_password: %w", err)
		}
		from[2] = password
	}
	if s.pair != nil && from == s.from {
		return s.pair, nil
	}
	pair, err := s.t.pair(s.secrets)
	if err != nil {
		return nil, fmt.Errorf("the certificate of the client: %w", err)
	}
	s.pair, s.from = pair, from
	return pair, nil
}
