package differ

import (
	"strconv"
	"strings"
)

// translate guesses the gjson spelling of a JSONPath without its $, of a jq path or of a JavaScript expression. It gives
// nothing when there is a part that it does not know.
func translate(text string) string {
	var parts []string
	for text != "" {
		var part string
		var ok bool
		switch text[0] {
		case '.':
			if text = text[1:]; strings.HasPrefix(text, ".") {
				return "" // gjson does not descend by itself
			}
			continue
		case '[':
			part, text, ok = translateSubscript(text)
		default:
			part, text, ok = translateName(text)
		}
		if !ok {
			return ""
		}
		parts = append(parts, part)
	}
	for len(parts) > 0 && parts[len(parts)-1] == "#" {
		parts = parts[:len(parts)-1] // all elements of a list are the list
	}
	if len(parts) == 0 {
		return self
	}
	return strings.Join(parts, ".")
}

func translateName(text string) (part, rest string, ok bool) {
	end := strings.IndexAny(text, ".[")
	if end < 0 {
		end = len(text)
	}
	name := text[:end]
	if strings.ContainsAny(name, "|()?\"' ,:") {
		return "", "", false
	}
	if name == "*" {
		name = "#"
	}
	return name, text[end:], true
}

// translateSubscript reads [0], [*], [], ['name'], ["name"] and [?(@.id==1)].
func translateSubscript(text string) (part, rest string, ok bool) {
	end := strings.IndexByte(text, ']')
	if end < 0 {
		return "", "", false
	}
	inner, rest := strings.TrimSpace(text[1:end]), text[end+1:]
	if _, err := strconv.ParseUint(inner, 10, 31); err == nil {
		return inner, rest, true
	}
	if inner == "" || inner == "*" {
		return "#", rest, true
	}
	if n := len(inner); n > 2 && (inner[0] == '\'' || inner[0] == '"') && inner[n-1] == inner[0] {
		return escapeName(inner[1 : n-1]), rest, true
	}
	if query, ok := strings.CutPrefix(inner, "?(@."); ok && strings.HasSuffix(query, ")") {
		return "#(" + strings.ReplaceAll(strings.TrimSuffix(query, ")"), "'", `"`) + ")", rest, true
	}
	return "", "", false
}

// translatePointer guesses the gjson spelling of a JSON Pointer (RFC 6901).
func translatePointer(text string) string {
	parts := strings.Split(text[1:], "/")
	for i, p := range parts {
		parts[i] = escapeName(strings.NewReplacer("~1", "/", "~0", "~").Replace(p))
	}
	return strings.Join(parts, ".")
}

// escapeName spells a member's name as a component of a gjson path.
func escapeName(name string) string { return string(appendEscapedName(nil, []byte(name))) }

// appendEscapedName appends a member's name as a component of a gjson path.
func appendEscapedName(dst, name []byte) []byte {
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 0x80, c == '_', c == '-', c == ':', c == ' ':
		default:
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}
