package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/setting"
)

// Version tells configurations apart without telling what stands in them. It is the same wherever the same is in force, in whatever
// files it stands, and another one when a secret is. What may differ from machine to machine does not count: [admin], [log] and the
// address of the store.
type Version struct {
	All   string            `json:"all"`
	Parts map[string]string `json:"parts"` // sources, webhooks, hosts, alerts, store and secrets
}

// secretsPart is the part of a Version that all secrets are in. They are hashed together: to try one, one would have to know the others.
const secretsPart = "secrets"

// VersionOf gives the version of a configuration. The key is the same on every machine.
func VersionOf(c *Config, secrets *setting.Secrets, key []byte) Version {
	hashes := map[string]hash.Hash{}
	write := func(part string, texts ...string) {
		if hashes[part] == nil {
			hashes[part] = hmac.New(sha256.New, key)
		}
		for _, text := range texts {
			sum := sha256.Sum256([]byte(text)) // so that two texts do not look like one
			_, _ = hashes[part].Write(sum[:])
		}
	}
	settings, sections := Settings(c), maps.Collect(sectionsOf(c))
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		part := partOf(name)
		if part == "" {
			continue
		}
		write(part, name)
		for _, k := range slices.Sorted(maps.Keys(settings[name])) {
			if name+"."+k != "store.url" {
				write(part, k, settings[name][k])
			}
		}
		if s, ok := sections[name]; ok && part != "store" {
			hidden := s.secrets(secrets)
			for _, k := range slices.Sorted(maps.Keys(hidden)) {
				write(secretsPart, append([]string{name, k}, hidden[k]...)...)
			}
		}
	}
	return versionOf(hashes, key)
}

// partOf gives the part that a section belongs to; empty: none.
func partOf(section string) string {
	kind, _, named := strings.Cut(section, ".")
	switch {
	case named:
		return kind + "s"
	case kind == "alerts" || kind == "store":
		return kind
	}
	return ""
}

func versionOf(hashes map[string]hash.Hash, key []byte) Version {
	const digits = 12
	v, all := Version{Parts: map[string]string{}}, hmac.New(sha256.New, key)
	for _, part := range slices.Sorted(maps.Keys(hashes)) {
		text := hex.EncodeToString(hashes[part].Sum(nil))[:digits]
		v.Parts[part] = text
		_, _ = io.WriteString(all, part+" "+text+"\n")
	}
	v.All = hex.EncodeToString(all.Sum(nil))[:digits]
	return v
}

// Differs lists the parts in which two versions differ.
func (v Version) Differs(from Version) []string {
	all := maps.Clone(v.Parts)
	if all == nil {
		all = map[string]string{}
	}
	for part := range from.Parts {
		all[part] = ""
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(part string) bool { return v.Parts[part] == from.Parts[part] })
}

// secrets gives by key what is hidden.
func (s section) secrets(secrets *setting.Secrets) map[string][]string {
	all := map[string][]string{}
	s.each("", func(key, last string, v reflect.Value) {
		if texts := reveal(last, v).secrets(secrets); len(texts) > 0 {
			all[key] = texts
		}
	})
	return all
}

// secrets gives what is hidden, and what the references lead to; nothing when there is no secret.
func (r revealed) secrets(secrets *setting.Secrets) []string {
	if !r.hidden && len(r.vars) == 0 {
		return nil
	}
	texts := slices.Clone(r.texts)
	for _, ref := range r.refs {
		value, _ := secrets.Text(setting.File(ref.Reveal())) // what cannot be read is no secret
		texts = append(texts, value)
	}
	for _, ref := range r.vars {
		value, _ := secrets.Resolve(ref)
		texts = append(texts, value)
	}
	return texts
}
