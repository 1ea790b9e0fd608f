package guess

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
)

// Updated is the field that says when a record changed.
type Updated struct {
	Path differ.Path
	Form string // how its values are written: "rfc3339", "unix", "unix_ms", or a layout of package time
}

// Format gives the form as cursor.format has it.
func (u *Updated) Format() string {
	switch u.Form {
	case "2006-01-02":
		return "date"
	case "2006-01-02 15:04:05.999999999":
		return "datetime"
	case "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00":
		return "rfc3339"
	case time.RFC1123, time.RFC1123Z:
		return "http"
	}
	return u.Form
}

// timeForm says how a time is written; empty when the text is none.
func timeForm(text string) string {
	if _, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return "rfc3339"
	}
	for _, layout := range layouts() {
		if _, err := time.Parse(layout, text); err == nil {
			return layout
		}
	}
	return ""
}

func layouts() []string {
	return []string{
		"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04",
		"2006-01-02", "02.01.2006 15:04:05", "02.01.2006", "01/02/2006 15:04:05", "20060102150405", time.RFC1123, time.RFC1123Z,
	}
}

// epochForm says whether a number may count seconds or milliseconds since 1970: years from 2001 on.
func epochForm(text string) string {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
	case n >= 1e9 && n < 1e10:
		return "unix"
	case n >= 1e12 && n < 1e13:
		return "unix_ms"
	}
	return ""
}

const (
	updatedStems = "updated update modified modification modify changed change touched edited mtime mod getlastmodified dtstamp geaendert aenderungs timestamp systemmodstamp"
	createdStems = "created create creation added inserted opened posted"
)

// saysWhen says whether a folded name is one of the stems with what such names have around it: lastUpdatedAt, date_modified.
func saysWhen(name, stems string) bool {
	if in(name, stems) {
		return true
	}
	for _, before := range []string{"last", "date"} {
		name = strings.TrimPrefix(name, before)
	}
	for _, behind := range []string{"timestamp", "datetime", "datum", "date", "time", "at", "on", "am", "utc", "ts"} {
		if stem, ok := strings.CutSuffix(name, behind); ok && in(stem, stems) {
			return true
		}
	}
	return in(name, stems)
}

// changes looks for a field that says when a record changed: the way to incremental polls.
func (g *Guess) changes(fields []*field) {
	n := min(len(g.list.records), mostRecords)
	created := ""
	for _, f := range fields {
		form := f.timeForm()
		if form == "" || g.Single {
			continue
		}
		name := plain(f.name())
		switch {
		case g.Updated == nil && f.everywhere(n) && saysWhen(name, updatedStems):
			g.Updated = &Updated{Path: f.path, Form: form}
		case saysWhen(name, createdStems):
			created = f.path.String()
		}
	}
	switch {
	case g.Updated != nil:
		g.note(AboutCursor, fmt.Sprintf("%q says when a record changed (%s)", g.Updated.Path, formText(g.Updated.Form)))
	case created != "":
		g.note(AboutCursor, fmt.Sprintf("%q says when a record was created, nothing says when it changed: each poll has to read the whole list", created))
	}
}

// timeForm gives the form that all values have.
func (f *field) timeForm() string {
	form := timeForm(f.first)
	if form == "" {
		form = epochForm(f.first)
	}
	for v := range f.values {
		if timeForm(v) != form && epochForm(v) != form {
			return ""
		}
	}
	return form
}

func formText(form string) string {
	switch form {
	case "rfc3339":
		return "RFC 3339"
	case "unix":
		return "seconds since 1970"
	case "unix_ms":
		return "milliseconds since 1970"
	}
	return "like " + form
}
