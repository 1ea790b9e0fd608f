package config

import (
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/poller"
)

// Settings gives the effective configuration as text by section ("source.contacts") and key ("pages.kind"), as Show writes
// it: secrets are masked. What is empty is left out.
func Settings(c *Config) map[string]map[string]string {
	all := map[string]map[string]string{}
	for name, s := range sectionsOf(c) {
		all[name] = s.texts()
	}
	return all
}

// SettingsOf is Settings for one section; false: there is none of this name.
func SettingsOf(c *Config, section string) (map[string]string, bool) {
	s, ok := newFallbacks().section(c, section)
	if !ok {
		return nil, false
	}
	return s.texts(), true
}

// Has says whether there is a section of this name.
func Has(c *Config, section string) bool {
	_, ok := (&fallbacks{}).section(c, section)
	return ok
}

// Alike says quickly that a section says the same in two configurations, apart from the content of files that it refers to. When it
// says no, the settings may still be equal.
func Alike(a, b *Config, section string) bool {
	var none fallbacks
	x, ok := none.section(a, section)
	y, too := none.section(b, section)
	return ok && too && reflect.DeepEqual(x.value.Addr().Interface(), y.value.Addr().Interface())
}

// Entry is one key of the effective configuration.
type Entry struct {
	Key, Value string
	Default    bool // it has the value that it has when it is not written
}

// Entries gives the keys of a source by name, as Settings does.
func Entries(c *Config, source string) []Entry {
	s, ok := c.Source(source)
	if !ok {
		return nil
	}
	fallback := poller.DefaultSource()
	return entriesOf(newSection(s, &fallback).texts(), newSection(&fallback, &fallback).texts())
}

// WebhookEntries gives the keys of a webhook by name.
func WebhookEntries(c *Config, webhook string) []Entry {
	w, ok := c.Webhook(webhook)
	if !ok {
		return nil
	}
	fallback := emitter.DefaultWebhook()
	return entriesOf(newSection(w, &fallback).texts(), newSection(&fallback, &fallback).texts())
}

func entriesOf(is, fallback map[string]string) []Entry {
	list := make([]Entry, 0, len(is))
	for _, key := range slices.Sorted(maps.Keys(is)) {
		def, ok := fallback[key]
		list = append(list, Entry{Key: key, Value: is[key], Default: ok && def == is[key]})
	}
	return list
}

// section is a table of the configuration, and the one that is not written.
type section struct {
	value, fallback reflect.Value
	layouts         layouts
	given           bool // only what is not as it is by default counts
}

// newSection takes pointers: tables are large, and there may be very many.
func newSection(value, fallback any) section {
	return section{value: reflect.ValueOf(value).Elem(), fallback: reflect.ValueOf(fallback).Elem()}
}

// texts gives the keys as they are shown.
func (s section) texts() map[string]string {
	into := map[string]string{}
	s.each("", func(key, name string, v reflect.Value) { into[key] = oneLine(shown(name, v)) })
	return into
}

// Sections lists the names of the sections.
func Sections(c *Config) []string {
	var names []string
	for name := range sectionsOf(c) {
		names = append(names, name)
	}
	return names
}

// sectionsOf gives the sections by name, one after the other.
func sectionsOf(c *Config) iter.Seq2[string, section] {
	return func(yield func(string, section) bool) {
		f := newFallbacks()
		for _, s := range c.Sources {
			one := newSection(s, &f.source)
			if one.layouts = f.layouts; !yield(kindSource+"."+s.Name, one) {
				return
			}
		}
		for _, w := range c.Webhooks {
			if !yield(kindWebhook+"."+w.Name, newSection(w, &f.webhook)) {
				return
			}
		}
		for i := range c.Hosts {
			if !yield(kindHost+"."+c.Hosts[i].Name, newSection(&c.Hosts[i], &f.host)) {
				return
			}
		}
		for _, name := range singles() {
			if s, _ := f.section(c, name); !yield(name, s) {
				return
			}
		}
	}
}

// singles are the tables of which there is one.
func singles() []string { return []string{kindStore, kindAdmin, kindLog, kindAlerts} }

// fallbacks are the tables that are not written.
type fallbacks struct {
	source  poller.Source
	webhook emitter.Webhook
	host    poller.Host
	store   Store
	admin   Admin
	log     Log
	alerts  Alerts
	layouts layouts
}

func newFallbacks() *fallbacks {
	return &fallbacks{
		source: poller.DefaultSource(), webhook: emitter.DefaultWebhook(), host: poller.DefaultHost(),
		store: DefaultStore(), admin: DefaultAdmin(), log: DefaultLog(), alerts: DefaultAlerts(),
		layouts: layouts{},
	}
}

// section finds a section by its name.
func (f *fallbacks) section(c *Config, name string) (section, bool) {
	kind, of, _ := strings.Cut(name, ".")
	switch kind {
	case kindSource:
		if s, ok := c.Source(of); ok {
			return newSection(s, &f.source), true
		}
	case kindWebhook:
		if w, ok := c.Webhook(of); ok {
			return newSection(w, &f.webhook), true
		}
	case kindHost:
		if i := slices.IndexFunc(c.Hosts, func(h poller.Host) bool { return h.Name == of }); i >= 0 {
			return newSection(&c.Hosts[i], &f.host), true
		}
	case kindStore:
		return newSection(&c.Store, &f.store), true
	case kindAdmin:
		return newSection(&c.Admin, &f.admin), true
	case kindLog:
		return newSection(&c.Log, &f.log), true
	case kindAlerts:
		return newSection(&c.Alerts, &f.alerts), true
	}
	return section{}, false
}

// each visits the keys that are not empty; name is the last part of the key, by which a secret is known.
func (s section) each(prefix string, visit func(key, name string, v reflect.Value)) {
	for _, f := range s.layouts.of(s.value.Type()) {
		value, fallback := s.value.Field(f.index), s.fallback.Field(f.index)
		if s.given && reflect.DeepEqual(value.Addr().Interface(), fallback.Addr().Interface()) {
			continue
		}
		key := prefix + f.key
		switch {
		case isEmpty(value, s.layouts) && isEmpty(fallback, s.layouts):
		case isTable(value.Type()):
			section{value: value, fallback: fallback, layouts: s.layouts, given: s.given}.each(key+".", visit)
		case value.Kind() == reflect.Map:
			for it := value.MapRange(); it.Next(); {
				visit(key+"."+it.Key().String(), it.Key().String(), it.Value())
			}
		default:
			visit(key, f.key, value)
		}
	}
}

// oneLine writes a value so that two that differ look different.
func oneLine(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = fmt.Sprint(item)
		if strings.Contains(texts[i], ", ") {
			texts[i] = strconv.Quote(texts[i])
		}
	}
	return strings.Join(texts, ", ")
}
