package config

import (
	"reflect"
	"slices"
	"strconv"

	"github.com/deltahook/deltahook/internal/setting"
)

// secretTable is a secret with its use, an element of a list of secrets.
type secretTable struct {
	Secret   setting.Secret `toml:"secret"`
	ID       string         `toml:"id"`
	NotAfter setting.Time   `toml:"not_after"`
}

// withTables gives the elements of a list that has tables in it.
func withTables(v any) (values []any, ok bool) {
	switch v := v.(type) {
	case map[string]any:
		return []any{v}, true
	case []map[string]any:
		for _, t := range v {
			values = append(values, t)
		}
		return values, len(v) > 0
	case []any:
		return v, slices.ContainsFunc(v, func(item any) bool { _, is := item.(map[string]any); return is })
	}
	return nil, false
}

// secretList binds secrets, each of them a reference or a table.
func (b *binding) secretList(values []any, n *node, into *setting.SecretList, path []string) {
	list := make(setting.SecretList, len(values))
	for i, item := range values {
		place, sub := n.elem(i), at(path, strconv.Itoa(i))
		if place == nil {
			place = n // a single table
		}
		table, ok := item.(map[string]any)
		if !ok {
			b.value(item, place, reflect.ValueOf(&list[i]).Elem(), sub)
			continue
		}
		var one secretTable
		b.table(table, place, reflect.ValueOf(&one).Elem(), sub)
		if _, there := table["secret"]; !there {
			b.problem(place, sub, lastName(path)+": the table has no secret", `write { secret = "env:NAME", not_after = "2026-12-01T00:00:00Z" }`)
		}
		list[i] = one.Secret.With(one.ID, one.NotAfter.Time)
	}
	*into = list
}

// shownSecret gives a secret as it is written: its reference, or a table when it has more to say.
func shownSecret(s setting.Secret) any {
	if s.ID() == "" && s.NotAfter().IsZero() {
		return s.String()
	}
	table := map[string]any{"secret": s.String()}
	if s.ID() != "" {
		table["id"] = s.ID()
	}
	if at := s.NotAfter(); !at.IsZero() {
		table["not_after"] = at.Format("2006-01-02T15:04:05Z07:00")
	}
	return table
}
