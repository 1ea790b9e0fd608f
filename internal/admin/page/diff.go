package page

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/differ"
)

// change is the data of an event as a table of fields.
type change struct {
	Kind   string // created, updated, deleted, snapshot
	Fields []field
	Same   []field // of an update: what is as it was
}

// field is one path of a record, before and after.
type field struct {
	Path          string
	Kind          string // added, removed, changed, same
	Before, After string // pretty JSON; empty when there was none
	Had, Has      bool
}

// sign is that of a kind of field, for those who do not see its colour.
func sign(kind string) string {
	return map[string]string{"added": "+", "removed": "−", "changed": "~", "same": ""}[kind]
}

// payload is what is read of the standard envelope.
type payload struct {
	Data struct {
		Change   string                     `json:"change"`
		Record   json.RawMessage            `json:"record"`
		Previous map[string]json.RawMessage `json:"previous"`
		Changed  []string                   `json:"changed"`
	} `json:"data"`
}

// changeOf reads the change out of an event; ok is false when it has none, as what deltahook says of itself.
func changeOf(body []byte) (c change, ok bool) {
	var e payload
	if err := json.Unmarshal(body, &e); err != nil || len(e.Data.Record) == 0 || e.Data.Change == "" {
		return c, false
	}
	c.Kind = e.Data.Change
	leaves := leavesOf(e.Data.Record)
	switch c.Kind {
	case "updated":
		for _, path := range e.Data.Changed {
			c.Fields = append(c.Fields, changedField(path, e.Data.Previous[path], e.Data.Record))
		}
		c.Same = slices.DeleteFunc(leaves, func(f field) bool { return under(f.Path, e.Data.Changed) })
	case "deleted":
		for _, f := range leaves {
			f.Kind, f.Before, f.After, f.Had, f.Has = "removed", f.After, "", true, false
			c.Fields = append(c.Fields, f)
		}
	default:
		for _, f := range leaves {
			f.Kind = "added"
			c.Fields = append(c.Fields, f)
		}
	}
	return c, true
}

// changedField tells what became of a path. Numbers stay the text that they are.
func changedField(path string, before json.RawMessage, record []byte) field {
	f := field{Path: path, Kind: "changed", Had: before != nil, Before: pretty(before)}
	if p, err := differ.ParsePath(path); err == nil {
		after := p.Get(record)
		f.Has, f.After = after.Exists(), pretty(after.Raw)
	}
	switch {
	case !f.Had:
		f.Kind = "added"
	case !f.Has:
		f.Kind = "removed"
	}
	return f
}

// under says whether a path is one of these or inside one.
func under(path string, of []string) bool {
	return slices.ContainsFunc(of, func(p string) bool { return path == p || strings.HasPrefix(path, p+".") })
}

// leavesOf gives the fields of a record in its own order; what is in an object inside it has a path of its own, arrays stay
// whole.
func leavesOf(record []byte) []field {
	var list []field
	var walk func(raw []byte, names []string)
	walk = func(raw []byte, names []string) {
		members, ok := membersOf(raw)
		if !ok || (len(members) == 0 && len(names) > 0) {
			list = append(list, field{Path: differ.MemberPath(names...).String(), Kind: "same", After: pretty(raw), Has: true})
			return
		}
		for _, m := range members {
			walk(m.value, append(slices.Clone(names), m.name))
		}
	}
	walk(record, nil)
	return list
}

type member struct {
	name  string
	value json.RawMessage
}

// membersOf gives the members of an object in their order; ok is false for anything else.
func membersOf(raw []byte) (list []member, ok bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		t, err := d.Token()
		name, isName := t.(string)
		if err != nil || !isName {
			return nil, false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		list = append(list, member{name, value})
	}
	return list, true
}

// pretty indents JSON without touching what is in it.
func pretty(raw []byte) string {
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return string(raw)
	}
	return out.String()
}
