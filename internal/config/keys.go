package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/setting"
)

// field is one key of a section.
type field struct {
	key   string
	index int
}

// layouts remember the fields of structs, for those who look at very many sections. Nil remembers nothing.
type layouts map[reflect.Type][]field

func (l layouts) of(t reflect.Type) []field {
	fields, known := l[t]
	if !known {
		if fields = fieldsOf(t); l != nil {
			l[t] = fields
		}
	}
	return fields
}

// fieldsOf lists the keys that a struct takes, in its order. A field without a toml tag is no key.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		if k := t.Field(i).Tag.Get("toml"); k != "" && k != "-" {
			fields = append(fields, field{key: k, index: i})
		}
	}
	return fields
}

// keysOf gives the names of the keys, sorted.
func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range fieldsOf(t) {
		keys = append(keys, f.key)
	}
	slices.Sort(keys)
	return keys
}

func fieldType(t reflect.Type, key string) (reflect.Type, bool) {
	for _, f := range fieldsOf(t) {
		if f.key == key {
			return t.Field(f.index).Type, true
		}
	}
	return nil, false
}

// isTable says whether a value of this type is written as a table with fixed keys.
func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) &&
		!reflect.PointerTo(t).Implements(reflect.TypeFor[setting.Listed]())
}

// unknownKey is what can be said about a key that does not exist.
type unknownKey struct {
	hint  string
	meant string // key of the same table that was probably meant; may be empty
	// elsewhere are the paths, from the section, of keys of this name in other tables of the section.
	elsewhere [][]string
}

// explainKey finds out what was meant by a key that table t of the section does not take. The section has the type section
// and is written as label; path leads from it to the table.
func explainKey(word string, t, section reflect.Type, label string, path []string) unknownKey {
	known := keysOf(t)
	for _, k := range known {
		if plainWord(k) == plainWord(word) {
			return meant(k)
		}
	}
	if above, ok := keyAbove(word, section, path); ok {
		return unknownKey{
			hint:      fmt.Sprintf("%s belongs to %s: move it above %s", word, under(label, above), under(label, path)),
			elsewhere: [][]string{append(slices.Clone(above), word)},
		}
	}
	for _, k := range append([]string{word}, synonyms(word)...) {
		if slices.Contains(known, k) {
			return meant(k)
		}
		if below := keysBelow(k, t); len(below) > 0 {
			return meantBelow(k, below, path)
		}
	}
	if beside := keysBelow(word, section); len(beside) > 0 && len(path) > 0 {
		return unknownKey{
			hint:      fmt.Sprintf("%s belongs to %s", word, under(label, beside[:1])),
			elsewhere: [][]string{{beside[0], word}},
		}
	}
	if k := Suggest(word, known); k != "" {
		return meant(k)
	}
	if k := Suggest(word, allBelow(t)); k != "" {
		return meantBelow(k, keysBelow(k, t), path)
	}
	return unknownKey{hint: allowed("keys allowed here: ", known)}
}

func meant(k string) unknownKey {
	return unknownKey{hint: fmt.Sprintf("did you mean %q?", k), meant: k}
}

func meantBelow(k string, tables, path []string) unknownKey {
	var u unknownKey
	var names []string
	for _, t := range tables {
		u.elsewhere = append(u.elsewhere, append(slices.Clone(path), t, k))
		names = append(names, t+"."+k)
	}
	u.hint = "did you mean " + strings.Join(names, " or ") + "?"
	return u
}

// keyAbove gives the path of the table that encloses path and takes the key.
func keyAbove(word string, section reflect.Type, path []string) (table []string, ok bool) {
	t := section
	for i, name := range path {
		if slices.Contains(keysOf(t), word) {
			return path[:i], true
		}
		if t, ok = fieldType(t, name); !ok || !isTable(t) {
			return nil, false
		}
	}
	return nil, false
}

// keysBelow gives the tables of t that take the key.
func keysBelow(word string, t reflect.Type) []string {
	var tables []string
	for _, f := range fieldsOf(t) {
		if ft := t.Field(f.index).Type; isTable(ft) && slices.Contains(keysOf(ft), word) {
			tables = append(tables, f.key)
		}
	}
	return tables
}

// allBelow lists the keys of the tables of t.
func allBelow(t reflect.Type) []string {
	var keys []string
	for _, f := range fieldsOf(t) {
		if ft := t.Field(f.index).Type; isTable(ft) {
			keys = append(keys, keysOf(ft)...)
		}
	}
	return keys
}

// under writes the header of a table inside the section with this label.
func under(label string, path []string) string {
	if len(path) == 0 {
		return label
	}
	return strings.TrimSuffix(label, "]") + "." + strings.Join(path, ".") + "]"
}

// allowed lists words after a lead, in lines that fit a terminal.
func allowed(lead string, words []string) string {
	const width = 100
	var b strings.Builder
	b.WriteString(lead)
	column := len(lead)
	for i, w := range words {
		if i < len(words)-1 {
			w += ","
		}
		if column+len(w) > width {
			b.WriteString("\n  ")
			column = 2
		} else if i > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(w)
		column += len(w)
	}
	return b.String()
}
