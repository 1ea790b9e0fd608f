package setting

import (
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Secretive says whether what goes by this name is a secret, as far as names tell.
func Secretive(name string) bool {
	name = strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
	for _, part := range []string{"authorization", "apikey", "token", "secret", "password", "cookie", "signature"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// Literals are places of a section where a secret can stand in the file itself.
type Literals struct {
	Problems *Problems
	Secrets  *Secrets // takes the values out of messages; may be nil
	Hint     string
	// Replaced says that placeholders are replaced there: what has a brace is none.
	Replaced bool
}

// Of warns of those among named values, each under the key and its name.
func (l Literals) Of(key string, values map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if l.suspect(name, values[name]) {
			l.warn(name+lookAlike, values[name], key, name)
		}
	}
}

// OfQuery warns of those in the query of a URL.
func (l Literals) OfQuery(address, key string) {
	for name, value := range parameters(address) {
		if !l.suspect(name, value) {
			continue
		}
		if plain, err := url.QueryUnescape(value); err == nil {
			value = plain
		}
		l.warn(name+lookAlike, value, key)
	}
}

// OfPassword warns of a password before the host of a URL.
func (l Literals) OfPassword(address, key string) {
	u, err := url.Parse(address)
	if err != nil {
		return
	}
	if password, ok := u.User.Password(); ok && password != "" {
		l.warn("the password stands in the file itself", password, key)
	}
}

const lookAlike = " looks like a secret that stands in the file itself"

func (l Literals) suspect(name, value string) bool {
	return Secretive(name) && value != "" && (!l.Replaced || !strings.Contains(value, "{"))
}

func (l Literals) warn(message, value string, key ...string) {
	l.Problems.Warn(l.Hint, message, key...)
	if l.Secrets != nil {
		l.Secrets.Remember(value)
	}
}

// parameters gives the parameters of the query of a URL as they stand there.
func parameters(address string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		_, query, _ := strings.Cut(address, "?")
		for segment := range strings.SplitSeq(query, "&") {
			name, value, _ := strings.Cut(segment, "=")
			if !yield(name, value) {
				return
			}
		}
	}
}
