package emitter

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// layout is a signature over a text that is made of id, time and body, sent in one header. All styles but rfc9421 are
// layouts.
type layout struct {
	content pattern
	header  string    // of the signature
	value   []pattern // of the header; the one with {sig} comes once per key
	join    string    // between the values; empty: each signature has a header line of its own
	extra   []extraHeader
	alg     algorithm
	encode  func(dst, sum []byte) []byte
	decode  func(string) ([]byte, error)
	read    func(secret string) (keyMaterial, error)
	alone   bool
	spare   *sync.Pool // of values that sign no more
}

// extraHeader is a header beside that of the signature.
type extraHeader struct {
	name  string
	value pattern
}

func hexEncoded(l layout) layout {
	l.spare = &sync.Pool{}
	l.encode, l.decode = hex.AppendEncode, hex.DecodeString
	return l
}

func base64Encoded(l layout) layout {
	l.spare = &sync.Pool{}
	l.encode, l.decode = base64.StdEncoding.AppendEncode, decodeBase64
	return l
}

// decodeBase64 takes no line breaks: a signature has one form.
func decodeBase64(text string) ([]byte, error) {
	if at := strings.IndexAny(text, "\r\n"); at >= 0 {
		return nil, base64.CorruptInputError(at)
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}

func (l *layout) key(secret string) (keyMaterial, error) { return l.read(secret) }

func (l *layout) single() bool { return l.alone }

func (l *layout) headers() []string {
	names := []string{l.header}
	for _, e := range l.extra {
		names = append(names, e.name)
	}
	return names
}

func (l *layout) sign(h http.Header, m *Message, keys []signingKey) error {
	v, ok := l.spare.Get().(*values)
	if !ok {
		v = &values{}
	}
	v.take(m, h)
	defer func() {
		v.take(&Message{}, nil) // a body must not outlive its attempt here
		l.spare.Put(v)
	}()
	for _, e := range l.extra {
		setExact(h, e.name, e.value.text(v))
	}
	sigs := make([]string, 0, 2)
	for i := range keys {
		sum, err := l.sum(&keys[i], v)
		if err != nil {
			return err
		}
		sigs = append(sigs, string(l.encode(v.encoded[:0], sum)))
	}
	setExact(h, l.header, l.lines(v, sigs)...)
	return nil
}

// sum signs the content.
func (l *layout) sum(key *signingKey, v *values) ([]byte, error) {
	if mac := key.mac(l.alg); mac != nil {
		defer key.macs.Put(mac)
		err := l.content.write(mac, v)
		return mac.Sum(v.scratch[:0]), err
	}
	var text bytes.Buffer
	if err := l.content.write(&text, v); err != nil {
		return nil, err
	}
	return key.signEd25519(text.Bytes())
}

// lines gives the lines of the signature's header.
func (l *layout) lines(v *values, sigs []string) []string {
	parts := make([]string, 0, len(l.value)+len(sigs)-1)
	for _, p := range l.value {
		if !p.has(varSig) {
			parts = append(parts, p.text(v))
			continue
		}
		for _, sig := range sigs {
			v.sig = sig
			parts = append(parts, p.text(v))
		}
	}
	if l.join == "" || len(parts) == 1 {
		return parts
	}
	return []string{strings.Join(parts, l.join)}
}

// verify looks for a signature that one of the keys made.
func (l *layout) verify(r *Received, keys []keyMaterial, clock *clockCheck) error {
	v := receivedValues(r)
	sigs, err := l.received(r.Header, v)
	if err != nil {
		return err
	}
	if err := l.checkTime(v, clock); err != nil {
		return err
	}
	if len(sigs) == 0 {
		return fmt.Errorf("%w: %s has no signature of this style", ErrSignature, l.header)
	}
	for i := range keys {
		ok, err := l.matches(&keys[i], v, sigs)
		if err != nil || ok {
			return err
		}
	}
	return noMatch(len(keys), len(sigs))
}

func noMatch(keys, sigs int) error {
	return fmt.Errorf("%w: tried %d secret(s) on %d signature(s); another secret signed this, or the body is not byte for byte the one that was sent",
		ErrSignature, keys, sigs)
}

func (l *layout) signed(r *Received) ([]string, error) {
	v := receivedValues(r)
	if _, err := l.received(r.Header, v); err != nil {
		return nil, err
	}
	return []string{l.content.text(v)}, nil
}

func receivedValues(r *Received) *values {
	return &values{body: r.Body, header: r.Header, id: headerValue(r.Header, headerID), seconds: headerValue(r.Header, headerTimestamp)}
}

// received takes the values out of the headers, and gives the signatures.
func (l *layout) received(h http.Header, v *values) (sigs [][]byte, err error) {
	if missing := l.missing(h, v); len(missing) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrMissingHeader, strings.Join(missing, ", "))
	}
	for _, e := range l.extra {
		e.value.read(headerValue(h, e.name), v)
	}
	for _, line := range headerLines(h, l.header) {
		parts := []string{line}
		if l.join != "" {
			parts = strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(l.join, c) })
		}
		for _, part := range parts {
			for _, p := range l.value {
				v.sig = ""
				if !p.read(strings.TrimSpace(part), v) || v.sig == "" {
					continue
				}
				if sig, err := l.decode(v.sig); err == nil {
					sigs = append(sigs, sig)
				}
			}
		}
	}
	return sigs, nil
}

// missing names the headers without which nothing can be verified.
func (l *layout) missing(h http.Header, v *values) (names []string) {
	need := func(name string) {
		if headerValue(h, name) == "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	carried := slices.Clone(l.value)
	for _, e := range l.extra {
		carried = append(carried, e.value)
		if l.content.has(varID, varSeconds, varMillis, varType) && e.value.has(varID, varSeconds, varMillis, varType) {
			need(e.name)
		}
	}
	all := slices.Concat(carried...)
	if l.content.has(varID) && !all.has(varID) {
		need(headerID)
	}
	if l.content.has(varSeconds) && !all.has(varSeconds, varMillis) {
		need(headerTimestamp)
	}
	need(l.header)
	return names
}

func (l *layout) checkTime(v *values, clock *clockCheck) error {
	if v.millis != "" {
		if len(v.millis) < 4 {
			return fmt.Errorf("%w: %s is not a number of milliseconds", ErrTimestamp, v.millis)
		}
		return clock.check(v.millis[:len(v.millis)-3], "the timestamp")
	}
	if l.content.has(varSeconds) {
		return clock.check(v.seconds, "the timestamp")
	}
	return nil
}

func (l *layout) matches(key *keyMaterial, v *values, sigs [][]byte) (bool, error) {
	if mac := l.alg.mac(key.secret); mac != nil {
		if err := l.content.write(mac, v); err != nil {
			return false, err
		}
		want := mac.Sum(nil)
		return slices.ContainsFunc(sigs, func(sig []byte) bool { return equalBytes(sig, want) }), nil
	}
	var text bytes.Buffer
	if err := l.content.write(&text, v); err != nil {
		return false, err
	}
	return slices.ContainsFunc(sigs, func(sig []byte) bool { return key.verifyEd25519(text.Bytes(), sig) }), nil
}
