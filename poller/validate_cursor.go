package poller

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// cursor checks the table cursor.
func (c *check) cursor() {
	conf, plain := c.s.Cursor, DefaultSource().Cursor
	given := map[string]bool{
		"param": conf.Param != "", "until": conf.Until != "", "format": conf.Format != plain.Format, "param_format": conf.ParamFormat != "",
		"timezone": conf.Timezone != plain.Timezone, "start": conf.Start != "", "overlap": conf.Overlap != plain.Overlap, "lag": conf.Lag > 0,
		"window": conf.Window > 0, "full_scan": conf.FullScan != "", "retention": conf.Retention > 0,
	}
	if !conf.Field.IsZero() {
		c.cursorFormats(given)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if given[key] {
			c.add(`write field = "the path of what grows with each change", like field = "updated_at"`, "cursor."+key+" counts only with cursor.field", "cursor", key)
		}
	}
}

// cursorFormats checks what the cursor reads and writes.
func (c *check) cursorFormats(given map[string]bool) {
	conf := c.s.Cursor
	if c.s.Single {
		c.add("remove cursor", "one single object is asked for as a whole", "cursor", "field")
	}
	zone, err := loadZone(conf.Timezone)
	if err != nil {
		c.add(`write a name like "Europe/Berlin" or "UTC"`, err.Error(), "cursor", "timezone")
		return
	}
	format, err := parseMarkFormat(conf.Format, zone)
	if err != nil {
		c.add(setting.Hint(err), err.Error(), "cursor", "format")
		return
	}
	sends := format
	if conf.ParamFormat != "" {
		if sends, err = parseMarkFormat(conf.ParamFormat, zone); err != nil {
			c.add(setting.Hint(err), err.Error(), "cursor", "param_format")
			return
		}
	}
	if sends.kind != format.kind {
		c.add("take a format of the same kind", fmt.Sprintf("%s cannot be written as %s", conf.Format, conf.ParamFormat), "cursor", "param_format")
		return
	}
	c.cursorTimes(given, format.kind, max(format.step, sends.step))
	if conf.Start != "" {
		if _, err := (&cursor{conf: conf, format: format, sends: sends}).begins(time.Unix(0, 0)); err != nil {
			c.add(setting.Hint(err), err.Error(), "cursor", "start")
		}
	}
	c.cursorScans()
}

// cursorTimes checks the keys that calculate with times.
func (c *check) cursorTimes(given map[string]bool, kind markKind, step time.Duration) {
	conf := c.s.Cursor
	for _, key := range []string{"overlap", "lag", "window", "until", "retention"} {
		if given[key] && kind != timeMarks {
			c.add("remove it", fmt.Sprintf("cursor.%s is about times, and the format is %s", key, conf.Format), "cursor", key)
		}
	}
	if conf.Window > 0 && conf.Window.Std() < step {
		c.add(fmt.Sprintf("write at least %q", setting.Duration(step)), fmt.Sprintf("cursor.window = %q is shorter than what the format can tell apart", conf.Window), "cursor", "window")
	}
}

// cursorScans checks the whole listings beside the incremental polls.
func (c *check) cursorScans() {
	s := c.s
	full := &cursor{conf: s.Cursor}
	err := full.compileFull(s.Timezone)
	switch {
	case err != nil:
		c.add(`write a duration like "1d" or a cron spec like "0 3 * * *"`, fmt.Sprintf("cursor.full_scan = %q is neither a duration nor a cron spec: %s", s.Cursor.FullScan, err), "cursor", "full_scan")
	case s.Cursor.FullScan != "" && full.full == nil && full.period < time.Second:
		c.add(`write a duration like "1d"`, "cursor.full_scan must be more than zero", "cursor", "full_scan")
	}
	if s.Deletes.Detect == "scan" && s.Cursor.FullScan == "" {
		c.add(`write full_scan = "1d" in the table cursor; or detect = "flag" where records say themselves that they are deleted`,
			`deletes.detect = "scan" needs cursor.full_scan: an incremental poll does not show what is gone`, "deletes", "detect")
	}
}

// cursorPlaceholders checks that the watermark stands somewhere in the request, and has a value there.
func (c *check) cursorPlaceholders(r *requests) {
	conf := c.s.Cursor
	if conf.Field.IsZero() {
		for _, name := range []string{"cursor", "until"} {
			if r.uses(name) {
				c.add(`set cursor = { field = "updated_at" }, or remove {`+name+"}", "{"+name+"} is used, but there is no cursor", "cursor", "field")
			}
		}
		return
	}
	embedded, bounded := r.uses("cursor"), conf.Until != "" || r.uses("until")
	switch {
	case conf.Param == "" && !embedded:
		c.add(`write param = "the parameter that says from where", or put {cursor} into url, query, headers or body`, "the watermark is nowhere in the request", "cursor", "field")
	case embedded && conf.Start == "":
		c.add(`write where the whole listing begins, like start = "2000-01-01T00:00:00Z"`, "{cursor} has no value in a whole listing without cursor.start", "cursor", "field")
	}
	if conf.Window > 0 && !bounded {
		c.add(`write until = "the parameter that says up to where", or put {until} into the request`, "cursor.window needs an end in the request", "cursor", "window")
	}
}
