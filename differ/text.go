package differ

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// hasEscape says whether the content of a string has escapes.
func hasEscape(content []byte) bool { return bytes.IndexByte(content, '\\') >= 0 }

// appendText appends the content of a string, unescaped. A surrogate without its pair becomes U+FFFD, as in encoding/json.
func appendText(dst, content []byte) []byte {
	for {
		plain := bytes.IndexByte(content, '\\')
		if plain < 0 {
			return append(dst, content...)
		}
		dst = append(dst, content[:plain]...)
		var r rune
		r, content = readEscape(content[plain:])
		dst = utf8.AppendRune(dst, r)
	}
}

// appendContent appends the content of a string in the one spelling that all strings of the same text share: quote,
// backslash and control characters escaped, nothing else. Surrogates without their pair stay escaped, so that they differ from
// each other and from U+FFFD.
func appendContent(dst, content []byte) []byte {
	for {
		plain := bytes.IndexByte(content, '\\')
		if plain < 0 {
			return append(dst, content...)
		}
		dst = append(dst, content[:plain]...)
		var r rune
		r, content = readEscape(content[plain:])
		dst = appendChar(dst, r)
	}
}

// appendJSONString appends text, which has no escapes, as a JSON string.
func appendJSONString(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' {
			dst = appendChar(dst, rune(c))
		} else {
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

func appendChar(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case r < ' ' || utf16.IsSurrogate(r):
		return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
	}
	return utf8.AppendRune(dst, r)
}

// readEscape reads the escape that s begins with, both halves of a surrogate pair. A half alone is given as it is.
func readEscape(s []byte) (r rune, rest []byte) {
	if len(s) < 2 {
		return utf8.RuneError, nil
	}
	switch s[1] {
	case 'b':
		return '\b', s[2:]
	case 'f':
		return '\f', s[2:]
	case 'n':
		return '\n', s[2:]
	case 'r':
		return '\r', s[2:]
	case 't':
		return '\t', s[2:]
	case 'u':
		return readUnicode(s)
	}
	return rune(s[1]), s[2:]
}

func readUnicode(s []byte) (r rune, rest []byte) {
	const length = len(`\u0000`)
	if len(s) < length {
		return utf8.RuneError, nil
	}
	r, rest = hex4(s[2:length]), s[length:]
	if utf16.IsSurrogate(r) && len(rest) >= length && rest[0] == '\\' && rest[1] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(rest[2:length])); pair != utf8.RuneError {
			return pair, rest[length:]
		}
	}
	return r, rest
}

func hex4(digits []byte) (r rune) {
	for _, c := range digits {
		switch {
		case c >= 'a':
			c -= 'a' - 10
		case c >= 'A':
			c -= 'A' - 10
		default:
			c -= '0'
		}
		r = r<<4 | rune(c&15)
	}
	return r
}
