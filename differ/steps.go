package differ

import (
	"math"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// A plain path is kept as its components, one after the other in one string, so that paths stay comparable:
// two bytes of length, one byte that says whether an array's index is meant too, and the name.
const stepHead = 3

func appendStep(dst []byte, name string, index bool) []byte {
	flag := byte(0)
	if index {
		flag = 1
	}
	dst = append(dst, byte(len(name)>>8), byte(len(name)), flag) //nolint:gosec // the caller refuses longer names
	return append(dst, name...)
}

// firstStep takes the first component off; index is -1 when it cannot be an array's index.
func firstStep(steps string) (name string, index int, rest string) {
	end := stepHead + (int(steps[0])<<8 | int(steps[1]))
	name, rest = steps[stepHead:end], steps[end:]
	index = -1
	if steps[2] != 0 {
		index, _ = strconv.Atoi(name)
	}
	return name, index, rest
}

// plainSteps gives the steps of a path that has members and indexes only. Others are gjson's.
func plainSteps(text string) (steps string, plain bool) {
	if text == self {
		return "", true
	}
	list, ok := components(strings.TrimPrefix(text, self+"."))
	if !ok {
		return "", false
	}
	var b []byte
	for _, c := range list {
		if c.wild || len(c.name) > math.MaxUint16 {
			return "", false
		}
		b = appendStep(b, c.name, c.isIndex())
	}
	return string(b), true
}

// component is one part of a path between dots.
type component struct {
	name    string // unescaped
	wild    bool   // has an unescaped * or ?, or is #
	escaped bool
}

// isIndex says whether the component names an array's element.
func (c component) isIndex() bool {
	const tooLong = 10 // digits; no array has that many elements
	if c.escaped || len(c.name) == 0 || len(c.name) >= tooLong {
		return false
	}
	return strings.Trim(c.name, "0123456789") == ""
}

// components splits a path at its dots; ok is false when the path has parts that only gjson understands.
func components(text string) (list []component, ok bool) {
	for {
		if !isPlainStart(text) {
			return nil, false
		}
		c, n := nextComponent(text)
		if n < 0 {
			return nil, false
		}
		list = append(list, c)
		if n >= len(text) {
			return list, true
		}
		text = text[n+1:]
	}
}

// isPlainStart says whether a component begins like a name (or is # or * alone) for gjson.
func isPlainStart(text string) bool {
	if text == "" {
		return true
	}
	switch text[0] {
	case '!', '{', '[':
		return false
	case '#': // alone it is each element; "#text" and "# name" are names
		return len(text) == 1 || text[1] != '(' && text[1] != '['
	case '@':
		end := strings.IndexAny(text, ".|:")
		if end < 0 {
			end = len(text)
		}
		return !gjson.ModifierExists(text[1:end], nil)
	}
	return true
}

// nextComponent reads one component and gives its length; -1 when it ends at a pipe.
func nextComponent(text string) (component, int) {
	if text == "#" || strings.HasPrefix(text, "#.") {
		return component{name: "#", wild: true}, 1
	}
	var c component
	var name []byte
	i := 0
	for ; i < len(text); i++ {
		switch text[i] {
		case '|':
			return c, -1
		case '.':
			if !isAnnotation(name) {
				c.name = string(name)
				return c, i
			}
		case '*', '?':
			c.wild = true
		case '\\':
			c.escaped = true
			if i++; i == len(text) {
				continue
			}
		}
		name = append(name, text[i])
	}
	c.name = string(name)
	return c, i
}

// isAnnotation says whether name begins an OData annotation, which has dots in its name.
func isAnnotation(name []byte) bool {
	_, space, ok := strings.Cut(string(name), "@")
	return ok && (space == "odata" || space == "microsoft" || space == "microsoft.graph")
}

// escapeAnnotations spells OData annotations for gjson. A path with quotes is left alone: there they may be text.
func escapeAnnotations(text string) string {
	if strings.Contains(text, `"`) {
		return text
	}
	return strings.NewReplacer("@odata.", `@odata\.`, "@microsoft.graph.", `@microsoft\.graph\.`, "@microsoft.", `@microsoft\.`).Replace(text)
}
