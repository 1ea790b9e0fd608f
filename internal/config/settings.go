package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/poller"
)

// Settings gives the effective configuration as text by section ("source.contacts") and key ("pages.kind"), as Show writes
// it: secrets are masked. What is empty is left out.
func Settings(c *Config) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, s := range c.Sources {
		all[kindSource+"."+s.Name] = settingsOf(*s, poller.DefaultSource())
	}
	for _, w := range c.Webhooks {
		all[kindWebhook+"."+w.Name] = settingsOf(*w, emitter.DefaultWebhook())
	}
	all[kindStore] = settingsOf(c.Store, DefaultStore())
	all[kindAdmin] = settingsOf(c.Admin, DefaultAdmin())
	all[kindLog] = settingsOf(c.Log, DefaultLog())
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
	return entriesOf(settingsOf(*s, fallback), settingsOf(fallback, fallback))
}

// WebhookEntries gives the keys of a webhook by name.
func WebhookEntries(c *Config, webhook string) []Entry {
	w, ok := c.Webhook(webhook)
	if !ok {
		return nil
	}
	fallback := emitter.DefaultWebhook()
	return entriesOf(settingsOf(*w, fallback), settingsOf(fallback, fallback))
}

func entriesOf(is, fallback map[string]string) []Entry {
	list := make([]Entry, 0, len(is))
	for _, key := range slices.Sorted(maps.Keys(is)) {
		def, ok := fallback[key]
		list = append(list, Entry{Key: key, Value: is[key], Default: ok && def == is[key]})
	}
	return list
}

func settingsOf(section, fallback any) map[string]string {
	into := map[string]string{}
	settings(into, "", reflect.ValueOf(section), reflect.ValueOf(fallback))
	return into
}

func settings(into map[string]string, prefix string, v, fallback reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		value, key := v.Field(f.index), prefix+f.key
		switch {
		case isEmpty(value) && isEmpty(fallback.Field(f.index)):
		case isTable(value.Type()):
			settings(into, key+".", value, fallback.Field(f.index))
		case value.Kind() == reflect.Map:
			for it := value.MapRange(); it.Next(); {
				name := it.Key().String()
				into[key+"."+name] = oneLine(shown(name, it.Value()))
			}
		default:
			into[key] = oneLine(shown(f.key, value))
		}
	}
}

func oneLine(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = fmt.Sprint(item)
	}
	return strings.Join(texts, ", ")
}
