package emitter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pattern is a text with placeholders.
type pattern []piece

// piece is a literal, or a placeholder when name is set.
type piece struct {
	literal string
	name    string // id, ts, ts_ms, body, type, sig, sha256:body, header
	header  string // of {header:Name}
}

// Placeholders of a signature; {sig} stands in its value only.
const (
	varID         = "id"
	varSeconds    = "ts"
	varMillis     = "ts_ms"
	varBody       = "body"
	varBodyDigest = "sha256:body"
	varType       = "type"
	varHeader     = "header"
	varSig        = "sig"
)

// parsePattern reads a text in which the placeholders that are allowed may stand.
func parsePattern(text string, allowed ...string) (pattern, error) {
	var p pattern
	for text != "" {
		literal, rest, ok := strings.Cut(text, "{")
		if literal != "" {
			p = append(p, piece{literal: literal})
		}
		if !ok {
			break
		}
		word, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("the placeholder {%s has no end", word)
		}
		one, ok := placeholder(word, allowed)
		if !ok {
			return nil, fmt.Errorf("unknown placeholder {%s}; there are {%s}", word, strings.Join(allowed, "}, {"))
		}
		p = append(p, one)
		text = after
	}
	return p, nil
}

func placeholder(word string, allowed []string) (piece, bool) {
	name, header, _ := strings.Cut(word, ":")
	for _, a := range allowed {
		switch {
		case a == word:
			return piece{name: word}, true
		case strings.HasPrefix(a, varHeader+":") && name == varHeader && header != "":
			return piece{name: varHeader, header: header}, true
		}
	}
	return piece{}, false
}

// mustPattern is for patterns that stand in code.
func mustPattern(text string) pattern {
	p, err := parsePattern(text, varID, varSeconds, varMillis, varBody, varBodyDigest, varType, varSig)
	if err != nil {
		panic(err)
	}
	return p
}

func (p pattern) has(names ...string) bool {
	for _, one := range p {
		if slices.Contains(names, one.name) {
			return true
		}
	}
	return false
}

// values fill a pattern.
type values struct {
	id, seconds, millis, kind, sig string

	at     time.Time // of a message that is signed, in place of seconds and millis
	body   []byte
	header http.Header

	scratch [128]byte // for short texts
	encoded [128]byte // for a signature
}

// take sets what a message that is signed has.
func (v *values) take(m *Message, h http.Header) {
	v.id, v.at, v.kind, v.body, v.header = m.ID, m.At, m.Type, m.Body, h
}

func unixSeconds(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// write writes the text; an error is that of w.
func (p pattern) write(w io.Writer, v *values) error {
	for _, one := range p {
		var err error
		if one.name == varBody {
			_, err = w.Write(v.body)
		} else {
			_, err = w.Write(v.append(v.scratch[:0], one))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p pattern) text(v *values) string {
	text := v.scratch[:0]
	for _, one := range p {
		text = v.append(text, one)
	}
	return string(text)
}

// append adds the text of one piece.
func (v *values) append(text []byte, one piece) []byte {
	switch one.name {
	case varID:
		return append(text, v.id...)
	case varSeconds:
		if !v.at.IsZero() {
			return strconv.AppendInt(text, v.at.Unix(), 10)
		}
		return append(text, v.seconds...)
	case varMillis:
		if !v.at.IsZero() {
			return strconv.AppendInt(text, v.at.UnixMilli(), 10)
		}
		return append(text, v.millis...)
	case varBody:
		return append(text, v.body...)
	case varType:
		return append(text, v.kind...)
	case varSig:
		return append(text, v.sig...)
	case varHeader:
		return append(text, headerValue(v.header, one.header)...)
	case varBodyDigest:
		sum := sha256.Sum256(v.body)
		return hex.AppendEncode(text, sum[:])
	}
	return append(text, one.literal...)
}

// set takes what a received text says; body and headers are known from elsewhere.
func (v *values) set(name, text string) {
	switch name {
	case varID:
		v.id = text
	case varSeconds:
		v.seconds = text
	case varMillis:
		v.millis = text
	case varType:
		v.kind = text
	case varSig:
		v.sig = text
	}
}

// read is the reverse of text: it sets the values that stand in a received text. A placeholder reaches up to the next
// literal.
func (p pattern) read(text string, v *values) bool {
	for i, one := range p {
		if one.name == "" {
			rest, ok := strings.CutPrefix(text, one.literal)
			if !ok {
				return false
			}
			text = rest
			continue
		}
		end := len(text)
		if i+1 < len(p) && p[i+1].literal != "" {
			if end = strings.Index(text, p[i+1].literal); end < 0 {
				return false
			}
		}
		v.set(one.name, text[:end])
		text = text[end:]
	}
	return text == ""
}
