package config

import (
	"fmt"
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
	return entriesOf(newSection(*s, fallback).texts(), newSection(fallback, fallback).texts())
}

// WebhookEntries gives the keys of a webhook by name.
func WebhookEntries(c *Config, webhook string) []Entry {
	w, ok := c.Webhook(webhook)
	if !ok {
		return nil
	}
	fallback := emitter.DefaultWebhook()
	return entriesOf(newSection(*w, fallback).texts(), newSection(fallback, fallback).texts())
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
type section struct{ value, fallback reflect.Value }

func newSection(value, fallback any) section {
	return section{reflect.ValueOf(value), reflect.ValueOf(fallback)}
}

// texts gives the keys as they are shown.
func (s section) texts() map[string]string {
	into := map[string]string{}
	s.each("", func(key, name string, v reflect.Value) { into[key] = oneLine(shown(name, v)) })
	return into
}

func sectionsOf(c *Config) map[string]section {
	all := map[string]section{}
	for _, s := range c.Sources {
		all[kindSource+"."+s.Name] = newSection(*s, poller.DefaultSource())
	}
	for _, w := range c.Webhooks {
		all[kindWebhook+"."+w.Name] = newSection(*w, emitter.DefaultWebhook())
	}
	for i := range c.Hosts {
		all[kindHost+"."+c.Hosts[i].Name] = newSection(c.Hosts[i], poller.DefaultHost())
	}
	all[kindStore] = newSection(c.Store, DefaultStore())
	all[kindAdmin] = newSection(c.Admin, DefaultAdmin())
	all[kindLog] = newSection(c.Log, DefaultLog())
	all[kindAlerts] = newSection(c.Alerts, DefaultAlerts())
	return all
}

// each visits the keys that are not empty; name is the last part of the key, by which a secret is known.
func (s section) each(prefix string, visit func(key, name string, v reflect.Value)) {
	for _, f := range fieldsOf(s.value.Type()) {
		value, fallback, key := s.value.Field(f.index), s.fallback.Field(f.index), prefix+f.key
		switch {
		case isEmpty(value) && isEmpty(fallback):
		case isTable(value.Type()):
			section{value, fallback}.each(key+".", visit)
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
