package emitter

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// verify checks the digest of the body and looks for a signature that covers it (RFC 9421, section 3.2).
func (s *messageSignature) verify(r *Received, keys []keyMaterial, clock *clockCheck) error {
	for _, name := range []string{headerDigest, headerSignatureInput, headerMessageSig} {
		if headerValue(r.Header, name) == "" {
			return fmt.Errorf("%w: %s", ErrMissingHeader, name)
		}
	}
	if !digestMatches(r.Header, r.Body) {
		return fmt.Errorf("%w: content-digest is not that of the body, which is not byte for byte the one that was sent", ErrSignature)
	}
	inputs := dictionary(strings.Join(headerLines(r.Header, headerSignatureInput), ", "))
	sigs := dictionary(strings.Join(headerLines(r.Header, headerMessageSig), ", "))
	at := &target{method: r.Method, url: r.URL, header: r.Header}
	last := fmt.Errorf("%w: no label of signature-input has a signature", ErrSignature)
	for _, in := range inputs {
		sig, ok := bytesOf(sigs, in.name)
		if !ok {
			continue
		}
		if last = s.verifyLabel(in.value, sig, at, keys, clock); last == nil {
			return nil
		}
	}
	return last
}

// signed gives the signature base of each label.
func (s *messageSignature) signed(r *Received) (bases []string, err error) {
	at := &target{method: r.Method, url: r.URL, header: r.Header}
	for _, in := range dictionary(strings.Join(headerLines(r.Header, headerSignatureInput), ", ")) {
		components, _, ok := splitParams(in.value)
		if !ok {
			return nil, fmt.Errorf("%w: signature-input cannot be read", ErrSignature)
		}
		base, err := signatureBase(components, in.value, at)
		if err != nil {
			return nil, err
		}
		bases = append(bases, base)
	}
	return bases, nil
}

func (s *messageSignature) verifyLabel(params string, sig []byte, at *target, keys []keyMaterial, clock *clockCheck) error {
	components, more, ok := splitParams(params)
	if !ok {
		return fmt.Errorf("%w: signature-input cannot be read", ErrSignature)
	}
	if missing := s.uncovered(components); missing != "" {
		return fmt.Errorf("%w: the signature does not cover %s", ErrSignature, missing)
	}
	if alg, there := more["alg"]; there && alg != s.Alg {
		return fmt.Errorf("%w: made with %q, expected is %q", ErrSignature, alg, s.Alg)
	}
	if err := clock.check(more["created"], "created"); err != nil {
		return err
	}
	if expires, there := more["expires"]; there && clock.tolerance > 0 {
		if at, err := strconv.ParseInt(expires, 10, 64); err != nil || clock.now.Unix() > at {
			return fmt.Errorf("%w: the signature has expired", ErrTimestamp)
		}
	}
	base, err := signatureBase(components, params, at)
	if err != nil {
		return err
	}
	for i := range keys {
		if s.Alg == string(algEd25519) {
			if keys[i].verifyEd25519([]byte(base), sig) {
				return nil
			}
		} else if want, err := signBase(algorithm(s.Alg), &keys[i], base); err == nil && equalBytes(sig, want) {
			return nil
		}
	}
	return noMatch(len(keys), 1)
}

// uncovered names a component that must be signed and is not: each signature has to cover what this side signs.
func (s *messageSignature) uncovered(components []string) string {
	for _, name := range s.Components {
		if !slices.Contains(components, name) {
			return name
		}
	}
	return ""
}

// digestMatches wants one digest of a known kind, and no known one that is wrong.
func digestMatches(h http.Header, body []byte) bool {
	known := false
	for _, d := range dictionary(strings.Join(headerLines(h, headerDigest), ", ")) {
		if d.name != "sha-256" && d.name != "sha-512" {
			continue
		}
		if d.name+"="+d.value != contentDigest(d.name, body) {
			return false
		}
		known = true
	}
	return known
}

// member is one entry of a dictionary of Structured Fields (RFC 9651, section 3.2), its value as it stands.
type member struct{ name, value string }

func dictionary(text string) []member {
	var all []member
	for _, part := range cutOutside(text, ',') {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		all = append(all, member{name, value})
	}
	return all
}

// cutOutside cuts at a separator that is in no string and in no parentheses.
func cutOutside(text string, separator byte) []string {
	var parts []string
	var start, depth int
	inString := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == separator && depth == 0:
			parts, start = append(parts, text[start:i]), i+1
		}
	}
	return append(parts, text[start:])
}

func bytesOf(all []member, name string) ([]byte, bool) {
	for _, m := range all {
		if m.name == name && len(m.value) > 1 && m.value[0] == ':' && m.value[len(m.value)-1] == ':' {
			raw, err := base64.StdEncoding.DecodeString(m.value[1 : len(m.value)-1])
			return raw, err == nil
		}
	}
	return nil, false
}

// splitParams reads an inner list of names and its parameters; components with parameters of their own are not read.
func splitParams(text string) (components []string, params map[string]string, ok bool) {
	parts := cutOutside(text, ';')
	list, isList := strings.CutPrefix(parts[0], "(")
	if list, ok = strings.CutSuffix(list, ")"); !ok || !isList {
		return nil, nil, false
	}
	for name := range strings.FieldsSeq(list) {
		if components = append(components, unquoted(name)); len(name) < 3 || quoted(unquoted(name)) != name {
			return nil, nil, false
		}
	}
	params = map[string]string{}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		params[name] = unquoted(value)
	}
	return components, params, true
}

func unquoted(text string) string {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return text
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(text[1 : len(text)-1])
}
