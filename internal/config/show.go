package config

import (
	"bytes"
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// Show gives the effective configuration as TOML, defaults included. References to secrets are shown and secrets are not,
// so that it can be passed on.
func Show(c *Config) string {
	var s shower
	for _, src := range c.Sources {
		s.section("source."+src.Name, *src, poller.DefaultSource())
	}
	for _, w := range c.Webhooks {
		s.section("webhook."+w.Name, *w, emitter.DefaultWebhook())
	}
	for _, h := range c.Hosts {
		s.section(kindHost+"."+strconv.Quote(h.Name), h, poller.DefaultHost())
	}
	s.section(kindStore, c.Store, DefaultStore())
	s.section(kindAdmin, c.Admin, DefaultAdmin())
	s.section(kindLog, c.Log, DefaultLog())
	s.section(kindAlerts, c.Alerts, DefaultAlerts())
	return strings.TrimPrefix(s.out.String(), "\n")
}

type shower struct{ out bytes.Buffer }

func (s *shower) section(name string, value, fallback any) {
	s.table(name, reflect.ValueOf(value), reflect.ValueOf(fallback))
}

// table writes the keys of a struct, and then its tables. What is empty, and is so by default, is left out.
func (s *shower) table(name string, v, fallback reflect.Value) {
	fmt.Fprintf(&s.out, "\n[%s]\n", name)
	var tables []field
	for _, f := range fieldsOf(v.Type()) {
		value := v.Field(f.index)
		switch {
		case isEmpty(value, nil) && isEmpty(fallback.Field(f.index), nil):
		case isTable(value.Type()) || value.Kind() == reflect.Map:
			tables = append(tables, f)
		default:
			s.key(f.key, shown(f.key, value))
		}
	}
	for _, f := range tables {
		sub := name + "." + f.key
		if value := v.Field(f.index); value.Kind() == reflect.Map {
			s.mapping(sub, value)
		} else {
			s.table(sub, value, fallback.Field(f.index))
		}
	}
}

func (s *shower) mapping(name string, v reflect.Value) {
	fmt.Fprintf(&s.out, "\n[%s]\n", name)
	byName := map[string]any{}
	for it := v.MapRange(); it.Next(); {
		byName[it.Key().String()] = shown(it.Key().String(), it.Value())
	}
	for _, k := range slices.Sorted(maps.Keys(byName)) {
		s.key(k, byName[k])
	}
}

// key writes one line.
func (s *shower) key(name string, value any) {
	if err := toml.NewEncoder(&s.out).Encode(map[string]any{name: value}); err != nil {
		panic("config: show " + name + ": " + err.Error()) // a type of a section that cannot be written; a test shows each
	}
}

// shown gives a value as it may be shown.
func shown(name string, v reflect.Value) any {
	if secret, ok := reflect.TypeAssert[setting.Secret](v); ok {
		return shownSecret(secret)
	}
	if m, ok := reflect.TypeAssert[encoding.TextMarshaler](v); ok {
		text, err := m.MarshalText()
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	switch v.Kind() {
	case reflect.String:
		return withoutSecret(name, v.String())
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = shown(name, v.Index(i))
		}
		return list
	default:
		return v.Interface()
	}
}

// withoutSecret masks a text that is a secret to judge by the name of its key, and what looks like one in other texts.
func withoutSecret(name, text string) string {
	if text != "" && tells(name) && !isReference(text) {
		return mask
	}
	return scrub(text)
}

// isEmpty says whether a value is as good as not there: nothing of it is set, or it is zero. False is a value.
func isEmpty(v reflect.Value, known layouts) bool {
	switch {
	case isTable(v.Type()):
		for _, f := range known.of(v.Type()) {
			if !isEmpty(v.Field(f.index), known) {
				return false
			}
		}
		return true
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Map:
		return v.Len() == 0
	}
	return v.Kind() != reflect.Bool && v.IsZero()
}
