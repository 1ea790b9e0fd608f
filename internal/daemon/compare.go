package daemon

import (
	"fmt"
	"maps"
	"slices"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
)

// Facts are a configuration as it is compared with another one. Plans and reloads go by them alone.
type Facts struct {
	Settings map[string]map[string]string // see config.Settings
	Prints   config.Prints                // of what they do not show; nil: not known
}

// FactsOf reads the files that the configuration refers to.
func FactsOf(c *config.Config, secrets *setting.Secrets) *Facts {
	return &Facts{Settings: config.Settings(c), Prints: config.PrintsOf(c, secrets)}
}

// comparison is what differs between two configurations; was may be nil.
type comparison struct{ was, next *Facts }

// runs says whether there is a table already.
func (c comparison) runs(section string) bool {
	if c.was == nil {
		return false
	}
	_, ok := c.was.Settings[section]
	return ok
}

// sections lists the tables of both; of the next one only when there is no other.
func (c comparison) sections() []string {
	if c.was == nil {
		return nil
	}
	all := maps.Clone(c.was.Settings)
	maps.Copy(all, c.next.Settings)
	return slices.Sorted(maps.Keys(all))
}

// differs says whether anything of a table is another one.
func (c comparison) differs(section string) bool {
	_, stays := c.next.Settings[section]
	return c.runs(section) != stays || len(c.keys(section)) > 0
}

// keys lists what of a table differs.
func (c comparison) keys(section string) []string {
	old, now := c.was.Settings[section], c.next.Settings[section]
	keys := slices.AppendSeq(slices.Collect(maps.Keys(old)), maps.Keys(now))
	slices.Sort(keys)
	return slices.DeleteFunc(slices.Compact(keys), func(key string) bool {
		return old[key] == now[key] && !c.another(section, key)
	})
}

// another says whether what is not shown of a key differs.
func (c comparison) another(section, key string) bool {
	if c.was.Prints == nil || c.next.Prints == nil {
		return false
	}
	return c.was.Prints[section][key] != c.next.Prints[section][key]
}

// change says how a key differs.
func (c comparison) change(section, key string) string {
	old, now := c.was.Settings[section][key], c.next.Settings[section][key]
	if old == now {
		return key + ": another value"
	}
	return fmt.Sprintf("%s %s → %s", key, orNothing(old), orNothing(now))
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}
