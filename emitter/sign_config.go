package emitter

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/deltahook/deltahook/internal/setting"
)

// Signature has the options of the signature styles "template" and "rfc9421", the table signature of a webhook.
type Signature struct {
	Alg         string `toml:"alg"`          // "hmac-sha1", "hmac-sha256", "hmac-sha512", "ed25519"
	KeyEncoding string `toml:"key_encoding"` // "raw": the secret is the key as it stands; "base64", "hex"

	// Of the style template.
	Header   string            `toml:"header"`   // that takes the signature
	Value    string            `toml:"value"`    // of that header
	Content  string            `toml:"content"`  // what is signed
	Encoding string            `toml:"encoding"` // of the signature: "hex", "base64"
	Multi    string            `toml:"multi"`    // several secrets: "repeat", "space", "comma"
	Headers  map[string]string `toml:"headers"`  // beside it, with placeholders

	// Of the style rfc9421.
	Components []string         `toml:"components"` // what is signed
	Digest     string           `toml:"digest"`     // "sha-256", "sha-512"
	Expires    setting.Duration `toml:"expires"`    // after the signing; 0: never
	Label      string           `toml:"label"`      // of the signature; further ones get a number behind it
	Tag        string           `toml:"tag"`
	Nonce      bool             `toml:"nonce"`
}

// DefaultSignature has the value of each option that is not written.
func DefaultSignature() Signature {
	return Signature{
		Alg: string(hmacSHA256), KeyEncoding: "raw",
		Value: "{sig}", Content: "{body}", Encoding: "hex", Multi: "comma",
		Components: []string{"@method", "content-type", "content-digest", headerID, headerTimestamp},
		Digest:     "sha-256", Expires: setting.Duration(DefaultTolerance), Label: "sig", Tag: "deltahook", Nonce: true,
	}
}

// validate reports what is wrong with the options of the style.
func (o *Signature) validate(p *setting.Problems, style string) {
	var part setting.Problems
	switch style {
	case signTemplate:
		o.validateTemplate(&part)
	case signRFC9421:
		o.validateMessage(&part)
	}
	for _, key := range o.idle(style) {
		part.Warn(`remove it, or write the sign that it belongs to: "template" or "rfc9421"`, fmt.Sprintf("signature.%s does not count with sign = %q", key, style), key)
	}
	p.Under("signature", part)
}

// idle names the options that are not as they are by default, and that the style does not have.
func (o *Signature) idle(style string) []string {
	given := DefaultSignature()
	var keys []string
	written := func(key string, changed bool, styles ...string) {
		if changed && !slices.Contains(styles, style) {
			keys = append(keys, key)
		}
	}
	written("alg", o.Alg != given.Alg, signTemplate, signRFC9421)
	written("key_encoding", o.KeyEncoding != given.KeyEncoding, signTemplate, signRFC9421)
	written("header", o.Header != given.Header, signTemplate)
	written("value", o.Value != given.Value, signTemplate)
	written("content", o.Content != given.Content, signTemplate)
	written("encoding", o.Encoding != given.Encoding, signTemplate)
	written("multi", o.Multi != given.Multi, signTemplate)
	written("headers", len(o.Headers) > 0, signTemplate)
	written("components", !slices.Equal(o.Components, given.Components), signRFC9421)
	written("digest", o.Digest != given.Digest, signRFC9421)
	written("expires", o.Expires != given.Expires, signRFC9421)
	written("label", o.Label != given.Label, signRFC9421)
	written("tag", o.Tag != given.Tag, signRFC9421)
	written("nonce", o.Nonce != given.Nonce, signRFC9421)
	return keys
}

func (o *Signature) validateTemplate(p *setting.Problems) {
	oneOf(p, "alg", o.Alg, string(hmacSHA256), string(hmacSHA1), string(hmacSHA512), string(algEd25519))
	oneOf(p, "key_encoding", o.KeyEncoding, "raw", "base64", "hex")
	oneOf(p, "encoding", o.Encoding, "hex", "base64")
	oneOf(p, "multi", o.Multi, "comma", "space", "repeat")
	if !httpguts.ValidHeaderFieldName(o.Header) {
		p.Add(`write header = "X-Signature"`, fmt.Sprintf("%q is not the name of a header, which takes the signature", o.Header), "header")
	}
	if content, err := contentPattern(o.Content); err != nil {
		p.Add(`write content = "{ts}.{body}"`, "content: "+err.Error(), "content")
	} else if !content.has(varBody, varBodyDigest) {
		p.Add("add {body} or {sha256:body}", "the content has no body: everybody could send another one under this signature", "content")
	} else if !content.has(varSeconds, varMillis) {
		p.Warn("add {ts} to the content, if the receiver knows of it", "the signature has no timestamp: a request can be replayed for ever", "content")
	}
	if value, err := valuePattern(o.Value); err != nil || !value.has(varSig) {
		p.Add(`write value = "{sig}"`, fmt.Sprintf("the value %q is not one with {sig} in it", o.Value), "value")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		_, err := headerPattern(o.Headers[name])
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			p.Add("use letters, digits and -", fmt.Sprintf("%q is not a header name", name), "headers", name)
		case err != nil:
			p.Add(`write a text with {id}, {ts} or {type}`, "the header "+name+": "+err.Error(), "headers", name)
		}
	}
}

func (o *Signature) validateMessage(p *setting.Problems) {
	oneOf(p, "alg", o.Alg, string(hmacSHA256), string(algEd25519))
	oneOf(p, "key_encoding", o.KeyEncoding, "raw", "base64", "hex")
	oneOf(p, "digest", o.Digest, "sha-256", "sha-512")
	for i, name := range o.Components {
		switch {
		case strings.HasPrefix(name, "@") && !slices.Contains(derivedComponents(), name), !strings.HasPrefix(name, "@") && !isComponent(name):
			p.Add(`write header names in lower case, or one of "`+strings.Join(derivedComponents(), `", "`)+`"`, fmt.Sprintf("%q cannot be signed", name), "components")
		case slices.Contains(o.Components[:i], name):
			p.Add("keep one of them", fmt.Sprintf("%q stands there twice", name), "components")
		}
	}
	if !slices.Contains(o.Components, headerDigest) {
		p.Add(`add "content-digest"`, "the body is not signed: everybody could send another one under this signature", "components")
	}
	if !isLabel(o.Label) {
		p.Add(`write label = "sig"`, fmt.Sprintf("the label %q is not made of a-z, 0-9, _ and -", o.Label), "label")
	}
	if !isPlain(o.Tag) {
		p.Add(`write tag = "deltahook"`, "the tag is not plain ASCII", "tag")
	}
	if o.Expires < 0 {
		p.Add(`write expires = "5m"`, "expires is negative", "expires")
	}
}

func contentPattern(text string) (pattern, error) {
	return parsePattern(text, varID, varSeconds, varMillis, varBody, varType, varHeader+":Name", varBodyDigest)
}

func valuePattern(text string) (pattern, error) {
	return parsePattern(text, varSig, varID, varSeconds, varMillis, varType)
}

func headerPattern(text string) (pattern, error) {
	return parsePattern(text, varID, varSeconds, varMillis, varType)
}

// newTemplateLayout makes the layout that the options describe.
func newTemplateLayout(o *Signature) (scheme, error) {
	var problems setting.Problems
	o.validateTemplate(&problems)
	for _, p := range problems {
		if !p.Warning {
			return nil, fmt.Errorf("signature: %w", p)
		}
	}
	l := layout{header: o.Header, alg: algorithm(o.Alg), read: decodedKey(o.KeyEncoding)}
	if l.alg == algEd25519 {
		l.read = ed25519Key
	}
	l.content, _ = contentPattern(o.Content) // was checked, as the others were
	l.join = map[string]string{"comma": ",", "space": " ", "repeat": ""}[o.Multi]
	texts := []string{o.Value}
	if l.join != "" {
		texts = strings.Split(o.Value, l.join)
	}
	for _, text := range texts {
		value, _ := valuePattern(text)
		l.value = append(l.value, value)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		value, _ := headerPattern(o.Headers[name])
		l.extra = append(l.extra, extraHeader{name, value})
	}
	if o.Encoding == "base64" {
		l = base64Encoded(l)
	} else {
		l = hexEncoded(l)
	}
	return &l, nil
}
