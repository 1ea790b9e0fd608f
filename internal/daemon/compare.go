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
	// Settings are those that another process has told, see config.Settings; nil: they are made of the configuration for each question,
	// because those of very many sources are large.
	Settings map[string]map[string]string
	Prints   config.Prints // of what settings do not show; nil: not known

	config *config.Config
}

// FactsOf reads the files that the configuration refers to.
func FactsOf(c *config.Config, secrets *setting.Secrets) *Facts {
	return &Facts{config: c, Prints: config.PrintsOf(c, secrets)}
}

// settings gives those of one table.
func (f *Facts) settings(section string) map[string]string {
	if f.config == nil {
		return f.Settings[section]
	}
	is, _ := config.SettingsOf(f.config, section)
	return is
}

func (f *Facts) has(section string) bool {
	if f.config == nil {
		_, ok := f.Settings[section]
		return ok
	}
	return config.Has(f.config, section)
}

func (f *Facts) sections() []string {
	if f.config == nil {
		return slices.Collect(maps.Keys(f.Settings))
	}
	return config.Sections(f.config)
}

// comparison is what differs between two configurations; was may be nil.
type comparison struct{ was, next *Facts }

// runs says whether there is a table already.
func (c comparison) runs(section string) bool { return c.was != nil && c.was.has(section) }

// sections lists the tables of both; of the next one only when there is no other.
func (c comparison) sections() []string {
	if c.was == nil {
		return nil
	}
	all := slices.Concat(c.was.sections(), c.next.sections())
	slices.Sort(all)
	return slices.Compact(all)
}

// differs says whether anything of a table is another one.
func (c comparison) differs(section string) bool {
	return c.runs(section) != c.next.has(section) || len(c.keys(section)) > 0
}

// keys lists what of a table differs.
func (c comparison) keys(section string) []string {
	if c.alike(section) {
		return nil
	}
	old, now := c.was.settings(section), c.next.settings(section)
	keys := slices.AppendSeq(slices.Collect(maps.Keys(old)), maps.Keys(now))
	slices.Sort(keys)
	return slices.DeleteFunc(slices.Compact(keys), func(key string) bool {
		return old[key] == now[key] && !c.another(section, key)
	})
}

// alike says quickly that nothing of a table differs.
func (c comparison) alike(section string) bool {
	return c.was.config != nil && c.next.config != nil && config.Alike(c.was.config, c.next.config, section) &&
		(c.was.Prints == nil || c.next.Prints == nil || maps.Equal(c.was.Prints[section], c.next.Prints[section]))
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
	old, now := c.was.settings(section)[key], c.next.settings(section)[key]
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
