package differ

import (
	"slices"
	"strconv"
	"strings"
)

// checkPath says what is wrong with the spelling of a path. The error is a *PathError.
func checkPath(text string) error {
	problem, suggest := diagnose(text)
	if problem == "" {
		return nil
	}
	const patience = 3 // a guess may have something wrong with it, too
	for range patience {
		worse, better := diagnose(suggest)
		if worse == "" {
			return &PathError{Path: text, Problem: problem, Suggest: suggest}
		}
		if suggest == "" {
			break
		}
		suggest = better
	}
	return &PathError{Path: text, Problem: problem}
}

// diagnose says what is wrong with a path, if anything, and what was probably meant.
func diagnose(text string) (problem, suggest string) {
	switch {
	case text == "":
		return "is empty", self
	case strings.TrimSpace(text) != text:
		return "has white space around it", strings.TrimSpace(text)
	case text[0] == '$' && (len(text) == 1 || text[1] == '.' || text[1] == '['):
		return "is JSONPath, paths are gjson's here", translate(text[1:])
	case text[0] == '/' && len(text) > 1:
		return "is a JSON Pointer, paths are gjson's here", translatePointer(text)
	case text[0] == '.':
		return "begins with a dot, as in jq; paths are gjson's here", translate(text)
	case hasSubscript(text):
		return "has a subscript as in JSONPath, jq or JavaScript; paths are gjson's here", translate(text)
	}
	if problem, suggest = unbalanced(text); problem != "" {
		return problem, suggest
	}
	if hasEmptyPart(text) {
		return "has an empty part between dots", dropEmptyParts(text)
	}
	return "", ""
}

// hasSubscript finds a bracket that means an element or a member: "items[0]", "data[]", "['a']". The brackets of gjson are
// multipaths, which begin a component, and the old form of queries, after #.
func hasSubscript(text string) bool {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"', '(', '{', '!', ':':
			return false // from here on it is a query, a literal or an argument
		case '[':
			starts := i == 0 || text[i-1] == '.' || text[i-1] == '|'
			if !starts && text[i-1] != '#' {
				return true
			}
			if inner, _, ok := strings.Cut(text[i+1:], "]"); ok && starts {
				_, err := strconv.Atoi(inner)
				return err == nil || inner == "" || inner == "*" || inner[0] == '\''
			}
			return false
		}
	}
	return false
}

// unbalanced says which bracket or quote of a path is open at its end or closed without having been opened.
func unbalanced(text string) (problem, suggest string) {
	var open []byte
	closing := map[byte]byte{'(': ')', '[': ']', '{': '}'}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			if i++; i == len(text) {
				return "ends with a backslash that escapes nothing", text[:i-1]
			}
		case '"':
			if len(open) == 0 {
				continue // outside of queries and multipaths a quote is a character of a name
			}
			end := endOfQuoted(text, i)
			if end < 0 {
				return "has a quote that is not closed", ""
			}
			i = end
		case '(', '[', '{':
			if c == '(' && len(open) == 0 && (i == 0 || text[i-1] != '#') {
				continue
			}
			open = append(open, closing[c])
		case ')', ']', '}':
			if len(open) > 0 && open[len(open)-1] == c {
				open = open[:len(open)-1]
			} else if len(open) > 0 || i > 0 && c == ')' && strings.Contains(text[:i], "#(") {
				return "closes a bracket that was not opened: " + string(c), ""
			}
		}
	}
	if len(open) == 0 {
		return "", ""
	}
	slices.Reverse(open)
	return "does not close a bracket: " + string(open[0]) + " is missing", text + string(open)
}

// endOfQuoted gives the index of the quote that closes the one at i, or -1.
func endOfQuoted(text string, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// hasEmptyPart finds two dots in a row, or a dot at the end, outside of brackets and quotes.
func hasEmptyPart(text string) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			if end := endOfQuoted(text, i); end > 0 && depth > 0 {
				i = end
			}
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case '.':
			if depth == 0 && (i+1 == len(text) || text[i+1] == '.') {
				return true
			}
		}
	}
	return false
}

func dropEmptyParts(text string) string {
	for strings.Contains(text, "..") {
		text = strings.ReplaceAll(text, "..", ".")
	}
	return strings.TrimSuffix(text, ".")
}
