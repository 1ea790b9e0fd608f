package emitter

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// Headers of HTTP Message Signatures (RFC 9421) and Digest Fields (RFC 9530).
const (
	headerDigest         = "content-digest"
	headerSignatureInput = "signature-input"
	headerMessageSig     = "signature"
)

// messageSignature signs as RFC 9421, with one label per key.
type messageSignature struct {
	Signature

	nonce func() string
}

func newMessageSignature(o *Signature) (scheme, error) {
	var problems setting.Problems
	o.validateMessage(&problems)
	if len(problems) > 0 {
		return nil, fmt.Errorf("signature: %w", problems[0])
	}
	return &messageSignature{Signature: *o, nonce: rand.Text}, nil
}

func (s *messageSignature) key(secret string) (keyMaterial, error) {
	if s.Alg == string(algEd25519) {
		return ed25519Key(secret)
	}
	return decodedKey(s.KeyEncoding)(secret)
}

func (s *messageSignature) single() bool { return false }

func (s *messageSignature) headers() []string {
	return []string{headerDigest, headerSignatureInput, headerMessageSig}
}

// sign adds Content-Digest, Signature-Input and Signature.
func (s *messageSignature) sign(h http.Header, m *Message, keys []signingKey) error {
	setExact(h, headerDigest, contentDigest(s.Digest, m.Body))
	var inputs, sigs []string
	for i := range keys {
		label := s.Label
		if i > 0 {
			label += strconv.Itoa(i + 1)
		}
		params := s.params(m.At, keys[i].id)
		base, err := signatureBase(s.Components, params, &target{method: m.Method, url: m.URL, header: h})
		if err != nil {
			return err
		}
		sum, err := signBase(algorithm(s.Alg), &keys[i].keyMaterial, base)
		if err != nil {
			return err
		}
		inputs = append(inputs, label+"="+params)
		sigs = append(sigs, label+"=:"+base64.StdEncoding.EncodeToString(sum)+":")
	}
	setExact(h, headerSignatureInput, strings.Join(inputs, ", "))
	setExact(h, headerMessageSig, strings.Join(sigs, ", "))
	return nil
}

// params is the inner list with its parameters (RFC 9421, section 2.3).
func (s *messageSignature) params(at time.Time, keyID string) string {
	var b strings.Builder
	b.WriteString(innerList(s.Components))
	fmt.Fprintf(&b, ";created=%d", at.Unix())
	if s.Expires > 0 {
		fmt.Fprintf(&b, ";expires=%d", at.Add(s.Expires.Std()).Unix())
	}
	if keyID != "" {
		b.WriteString(";keyid=" + quoted(keyID))
	}
	b.WriteString(";alg=" + quoted(s.Alg))
	if s.Nonce {
		b.WriteString(";nonce=" + quoted(s.nonce()))
	}
	if s.Tag != "" {
		b.WriteString(";tag=" + quoted(s.Tag))
	}
	return b.String()
}

func innerList(components []string) string {
	names := make([]string, len(components))
	for i, name := range components {
		names[i] = quoted(name)
	}
	return "(" + strings.Join(names, " ") + ")"
}

// quoted writes a string of Structured Fields (RFC 9651, section 4.1.6); text is plain ASCII.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// signBase signs a signature base (RFC 9421, section 3.3).
func signBase(alg algorithm, key *keyMaterial, base string) ([]byte, error) {
	if mac := alg.mac(key.secret); mac != nil {
		_, _ = mac.Write([]byte(base))
		return mac.Sum(nil), nil
	}
	return key.signEd25519([]byte(base))
}

// target is the request that components are taken from.
type target struct {
	method string
	url    string
	header http.Header
}

// signatureBase is what is signed (RFC 9421, section 2.5): a line per component, and no line feed at the end.
func signatureBase(components []string, params string, t *target) (string, error) {
	var b strings.Builder
	for _, name := range components {
		value, err := t.component(name)
		if err != nil {
			return "", err
		}
		b.WriteString(quoted(name) + ": " + value + "\n")
	}
	b.WriteString(`"@signature-params": ` + params)
	return b.String(), nil
}

func derivedComponents() []string {
	return []string{"@method", "@authority", "@path", "@query", "@target-uri", "@scheme"}
}

// component gives the value of a derived component (RFC 9421, section 2.2) or of a header (section 2.1).
func (t *target) component(name string) (string, error) {
	if !strings.HasPrefix(name, "@") {
		lines := headerLines(t.header, name)
		if len(lines) == 0 {
			return "", fmt.Errorf("%w: %s, which is signed", ErrMissingHeader, name)
		}
		for i := range lines {
			lines[i] = strings.TrimSpace(lines[i])
		}
		return strings.Join(lines, ", "), nil
	}
	if name == "@method" {
		return t.method, nil
	}
	u, err := url.Parse(t.url)
	if err != nil || !slices.Contains(derivedComponents(), name) {
		return "", fmt.Errorf("%w: the component %s cannot be had of this request", ErrSignature, name)
	}
	return derived(name, u), nil
}

func derived(name string, u *url.URL) string {
	switch name {
	case "@authority":
		return authority(u)
	case "@path":
		if path := u.EscapedPath(); path != "" {
			return path
		}
		return "/"
	case "@query":
		return "?" + u.RawQuery
	case "@scheme":
		return strings.ToLower(u.Scheme)
	}
	full := *u
	full.Scheme, full.Host, full.Fragment = strings.ToLower(u.Scheme), authority(u), ""
	if full.Path == "" {
		full.Path = "/"
	}
	return full.String()
}

// authority is the host in lower case, without the port that its scheme has anyway.
func authority(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if port := u.Port(); (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return host
}

// contentDigest is the value of Content-Digest (RFC 9530, section 2).
func contentDigest(alg string, body []byte) string {
	if alg == "sha-512" {
		sum := sha512.Sum512(body)
		return "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func isComponent(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

func isLabel(text string) bool {
	return isComponent(text) && text[0] >= 'a' && text[0] <= 'z'
}

func isPlain(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' })
}
