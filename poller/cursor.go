package poller

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// Cursor says how a poll asks only for what changed since the last one, the table cursor.
type Cursor struct {
	Field       differ.Path      `toml:"field"` // of a record: when it changed, or the number that grows with each change
	Param       string           `toml:"param"` // of the query, that says from where
	Until       string           `toml:"until"` // of the query, that says up to where
	Format      string           `toml:"format"`
	ParamFormat string           `toml:"param_format"` // empty: as Format
	Timezone    string           `toml:"timezone"`     // of formats without one
	Start       string           `toml:"start"`        // where the listing of a source without a watermark begins: a value, or a time before now
	Overlap     setting.Duration `toml:"overlap"`
	Lag         setting.Duration `toml:"lag"`
	Window      setting.Duration `toml:"window"`
	FullScan    string           `toml:"full_scan"` // a duration or a cron spec
	Retention   setting.Duration `toml:"retention"`
}

// cursor is a compiled Cursor.
type cursor struct {
	conf   Cursor
	format markFormat // of the field
	sends  markFormat // of the request
	full   Schedule   // of complete listings; nil: none
	period time.Duration
	embeds bool // {cursor} stands in the request
}

// cursorState is what the state of a source has of its cursor.
type cursorState struct {
	Field     string    `json:"field"`               // that the marks are of
	Form      string    `json:"form"`                // format and time zone that they were read with
	Watermark string    `json:"watermark,omitempty"` // the latest that was read
	Start     string    `json:"start,omitempty"`     // where the listing begins; empty: with the first record
	Full      time.Time `json:"full,omitzero"`       // when the last whole listing was read
	Anew      int64     `json:"anew,omitempty"`      // Unix seconds: when a window was read of all the records that are being read anew; 0: they are not
}

// newCursor compiles the cursor of a valid source; nil when it has none.
func newCursor(s *Source, embeds bool) (*cursor, error) {
	conf := s.Cursor
	if conf.Field.IsZero() {
		return nil, nil //nolint:nilnil // no cursor is no error
	}
	zone, err := loadZone(conf.Timezone)
	if err != nil {
		return nil, err
	}
	c := &cursor{conf: conf, embeds: embeds}
	if c.format, err = parseMarkFormat(conf.Format, zone); err != nil {
		return nil, err
	}
	c.sends = c.format
	if conf.ParamFormat != "" {
		if c.sends, err = parseMarkFormat(conf.ParamFormat, zone); err != nil {
			return nil, err
		}
	}
	return c, c.compileFull(s.Timezone)
}

func (c *cursor) compileFull(timezone string) error {
	if c.conf.FullScan == "" {
		return nil
	}
	period, err := setting.ParseDuration(c.conf.FullScan)
	if err == nil {
		c.period = period
		return nil
	}
	zone, err := loadZone(timezone)
	if err != nil {
		return err
	}
	c.full, err = ParseSchedule(c.conf.FullScan, zone)
	return err
}

// due says whether another whole listing is to be read now. It is when the last one is still to come: the clock was set back, and
// nobody knows how long ago that was.
func (c *cursor) due(last, now time.Time) bool {
	switch {
	case c.period == 0 && c.full == nil:
		return false
	case last.After(now):
		return true
	case c.period > 0:
		return now.Sub(last) >= c.period
	case c.full != nil:
		next := c.full.Next(last)
		return !next.IsZero() && !next.After(now)
	}
	return false
}

func (c *cursor) form() string { return c.conf.Format + " " + c.conf.Timezone }

// decode reads what is stored. What was stored for another field or format is no watermark of this one; the listing begins where
// it did, or all that is older would look new.
func (c *cursor) decode(stored json.RawMessage) cursorState {
	s := cursorState{}
	if c == nil {
		return s
	}
	if len(stored) > 0 && json.Unmarshal(stored, &s) != nil {
		s = cursorState{}
	}
	if s.Field != c.conf.Field.String() {
		s = cursorState{Start: s.Start}
	}
	if s.Form != c.form() {
		s.Watermark = ""
	}
	if _, ok := c.format.parse(s.Start); !ok && c.format.kind != timeMarks {
		s.Start = "" // it is a time
	}
	s.Field, s.Form = c.conf.Field.String(), c.form()
	return s
}

// restarted gives what is left of a cursor that is to forget how far it came: where the listing begins.
func restarted(stored json.RawMessage) json.RawMessage {
	s := cursorState{}
	if json.Unmarshal(stored, &s) != nil || s.Start == "" {
		return nil
	}
	return cursorState{Field: s.Field, Form: s.Form, Start: s.Start}.encode()
}

func (s cursorState) encode() json.RawMessage { return json.RawMessage(encode(s)) }

// begins reads cursor.start: a value as the field or the request has it, or how long before now.
func (c *cursor) begins(now time.Time) (mark, error) {
	text := c.conf.Start
	if c.format.kind == timeMarks {
		if back, err := setting.ParseDuration(text); err == nil {
			return mark{at: now.Add(-back).UTC().Truncate(time.Second)}, nil
		}
	}
	for _, f := range []markFormat{c.format, c.sends} {
		if m, ok := f.parse(text); ok {
			return m, nil
		}
	}
	if at, err := time.Parse(time.DateOnly, text); err == nil && c.format.kind == timeMarks {
		return mark{at: at}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil && c.format.kind == timeMarks {
		return mark{at: at}, nil
	}
	return mark{}, &setting.HintedError{
		Message: fmt.Sprintf("cursor.start = %q is neither a value in the format of the field nor a duration", text),
		Hint:    `write a value like "2026-01-01T00:00:00Z", or how far back from now, like "30d"`,
	}
}
