package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/setting"
)

// Prints are what Settings does not show, in a form that tells only whether two are the same: by section and key the hash of
// what is masked there, and of the files and credentials that it refers to. Variables of the environment do not count: they
// are the same as long as the process lives.
type Prints map[string]map[string]string

// PrintsOf reads what is referred to.
func PrintsOf(c *Config, secrets *setting.Secrets) Prints {
	all := Prints{}
	for name, s := range sectionsOf(c) {
		s.given = true // no default hides anything
		s.each("", func(key, last string, v reflect.Value) {
			r := reveal(last, v)
			if !r.hidden {
				return
			}
			if all[name] == nil {
				all[name] = map[string]string{}
			}
			all[name][key] = r.print(secrets)
		})
	}
	return all
}

// Sealed gives the prints for somebody who has the key: without it, nobody can tell whether he has guessed a secret.
func (p Prints) Sealed(key string) Prints {
	sealed := make(Prints, len(p))
	for section, prints := range p {
		sealed[section] = make(map[string]string, len(prints))
		for name, print := range prints {
			mac := hmac.New(sha256.New, []byte(key))
			_, _ = io.WriteString(mac, print)
			sealed[section][name] = hex.EncodeToString(mac.Sum(nil))
		}
	}
	return sealed
}

// References lists the files and credentials that the configuration refers to.
func References(c *Config) []setting.Secret {
	seen := map[string]struct{}{}
	var list []setting.Secret
	for _, s := range sectionsOf(c) {
		s.given = true // no default refers to anything
		s.each("", func(_, last string, v reflect.Value) {
			for _, ref := range reveal(last, v).refs {
				if _, ok := seen[ref.String()]; !ok {
					seen[ref.String()] = struct{}{}
					list = append(list, ref)
				}
			}
		})
	}
	slices.SortFunc(list, func(a, b setting.Secret) int { return strings.Compare(a.String(), b.String()) })
	return list
}

// PrintOf gives one print of what the references lead to.
func PrintOf(refs []setting.Secret, secrets *setting.Secrets) string {
	return revealed{refs: refs}.print(secrets)
}

// revealed is a value with its secrets.
type revealed struct {
	texts  []string
	refs   []setting.Secret // to files and credentials
	vars   []setting.Secret // to variables of the environment
	hidden bool             // there is more to it than is shown
}

func (r revealed) print(secrets *setting.Secrets) string {
	h := sha256.New()
	write := func(text string) {
		sum := sha256.Sum256([]byte(text)) // so that two texts do not look like one
		_, _ = h.Write(sum[:])
	}
	for _, text := range r.texts {
		write(text)
	}
	for _, ref := range r.refs {
		value, err := secrets.Text(setting.File(ref.Reveal()))
		if err != nil {
			value = "" // which no secret is
		}
		write(value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func reveal(name string, v reflect.Value) revealed {
	if v.Kind() == reflect.Slice {
		var all revealed
		for i := range v.Len() {
			one := reveal(name, v.Index(i))
			all.texts, all.refs, all.hidden = append(all.texts, one.texts...), append(all.refs, one.refs...), all.hidden || one.hidden
			all.vars = append(all.vars, one.vars...)
		}
		return all
	}
	switch value := v.Interface().(type) {
	case setting.Secret:
		return revealSecret(value)
	case setting.File:
		return revealSecret(value.Secret())
	case interface{ Reveal() string }:
		return revealText(value.Reveal(), true)
	case encoding.TextMarshaler:
		text, err := value.MarshalText()
		if err != nil {
			return revealed{}
		}
		return revealText(string(text), false)
	}
	if v.Kind() == reflect.String {
		return revealText(v.String(), withoutSecret(name, v.String()) != v.String())
	}
	return revealed{}
}

func revealSecret(s setting.Secret) revealed {
	switch {
	case s.IsZero():
		return revealed{}
	case strings.HasPrefix(s.String(), "env:"):
		return revealed{vars: []setting.Secret{s}}
	case s.IsLiteral():
		return revealed{texts: []string{s.Reveal()}, hidden: true}
	}
	return revealed{refs: []setting.Secret{s}, hidden: true}
}

// revealText finds references in a text.
func revealText(text string, masked bool) revealed {
	r := revealed{texts: []string{text}, hidden: masked}
	if !isReference(text) {
		return r
	}
	found := [][]string{{text, text}}
	if strings.Contains(text, "{secret:") {
		found = placed().FindAllStringSubmatch(text, -1)
	}
	for _, m := range found {
		if ref := setting.NewSecret(m[1]); strings.HasPrefix(m[1], "env:") {
			r.vars = append(r.vars, ref)
		} else {
			r.refs, r.hidden = append(r.refs, ref), true
		}
	}
	return r
}

// placed finds the placeholders of secrets.
func placed() *regexp.Regexp { return regexp.MustCompile(`\{secret:((?:env|file|cred):[^{}"\n]+)\}`) }
