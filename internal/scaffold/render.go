package scaffold

import (
	"fmt"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/guess"
	"github.com/deltahook/deltahook/poller"
)

// width of the comments.
const width = 116

// head writes the keys of the source that the user gave.
func (d *drafter) head(b *strings.Builder) {
	fmt.Fprintf(b, "[source.%s]\n", d.o.Name)
	for _, l := range d.keys {
		fmt.Fprintf(b, "%-8s= %s\n", l.key+" ", l.value)
	}
}

// render writes the file. It is called for trials too, when not everything is known yet.
func (d *drafter) render() []byte {
	var b strings.Builder
	if !d.o.Now.IsZero() {
		fmt.Fprintf(&b, "# Drafted by deltahook init on %s from the answers of the API. Comments say what a line rests on; where one\n"+
			"# says \"not sure\", look twice. All keys: the file config.toml of deltahook.\n#\n", d.o.Now.Format("2006-01-02"))
		for _, next := range [][2]string{
			{"export " + WebhookSecret + "=$(deltahook secret)", "the receiver gets the same one"},
			{"deltahook try " + d.o.Name, "one poll: nothing written, nothing sent"},
			{"deltahook listen", "in another terminal: a receiver that verifies and prints"},
			{"deltahook run", "the daemon"},
		} {
			fmt.Fprintf(&b, "#   %-48s %s\n", next[0], next[1])
		}
		b.WriteByte('\n')
	}
	d.head(&b)
	d.response(&b)
	d.records(&b)
	d.compare(&b)
	d.listing(&b)
	d.incremental(&b)
	fmt.Fprintf(&b, "\n[webhook.app]\nurl    = \"http://127.0.0.1:8080/hooks\"    # where deltahook listen waits; later your receiver\nsecret = \"env:%s\"\n", WebhookSecret)
	return []byte(b.String())
}

// comment writes the notes about a key, above it.
func (d *drafter) comment(b *strings.Builder, about string) {
	b.WriteByte('\n')
	for _, n := range d.notes() {
		if n.About != about {
			continue
		}
		text := n.Text
		if n.Unsure {
			text = "not sure: " + text
		}
		for _, l := range wrapped(strings.Map(visible, text), width) {
			fmt.Fprintf(b, "# %s\n", l)
		}
	}
}

func (d *drafter) line(b *strings.Builder, key, value string) {
	if !d.has(key) {
		fmt.Fprintf(b, "%-8s= %s\n", key+" ", value)
	}
}

func (d *drafter) response(b *strings.Builder) {
	r := d.guess.Response
	var parts []string
	add := func(key, value string) { parts = append(parts, key+" = "+value) }
	if r.Format != "json" {
		add("format", quote(r.Format))
	}
	if r.Charset != "" {
		add("charset", quote(r.Charset))
	}
	if r.Delimiter != "" {
		add("delimiter", quote(r.Delimiter))
	}
	if len(r.Columns) > 0 {
		names := make([]string, len(r.Columns))
		for i, name := range r.Columns {
			names[i] = quote(name)
		}
		add("columns", "["+strings.Join(names, ", ")+"]")
	}
	if len(r.ForceArray) > 0 {
		add("force_array", quoteList(r.ForceArray))
	}
	if r.Error != "" {
		add("error", quote(r.Error))
	}
	if r.Message != "" {
		add("message", quote(r.Message))
	}
	if len(parts) > 0 && !d.has("response") {
		d.comment(b, guess.AboutFormat)
		d.line(b, "response", "{ "+strings.Join(parts, ", ")+" }")
	}
}

func (d *drafter) records(b *strings.Builder) {
	g := d.guess
	d.comment(b, guess.AboutRecords)
	if path := g.Records.String(); path != "@this" {
		d.line(b, "records", quote(path))
	} else {
		b.WriteString("# records = \"@this\": the answer itself\n")
	}
	if g.Single {
		d.line(b, "single", "true")
		return
	}
	d.comment(b, guess.AboutKey)
	d.line(b, "key", quotePaths(g.Key))
}

func (d *drafter) compare(b *strings.Builder) {
	if d.noise == nil || !d.says(guess.AboutIgnore) {
		return
	}
	d.comment(b, guess.AboutIgnore)
	if len(d.noise.Ignore) > 0 {
		d.line(b, "ignore", quoteList(d.noise.Ignore))
	}
	if len(d.noise.Unordered) > 0 {
		d.line(b, "unordered", quoteList(d.noise.Unordered))
	}
}

func (d *drafter) listing(b *strings.Builder) {
	d.comment(b, guess.AboutPages)
	if d.pages != nil {
		d.line(b, "pages", pagesText(&d.pages.Pages))
	}
	switch {
	case d.guess.Single || d.has("deletes"):
	case d.guess.Feed:
		b.WriteString("# no deletes: a feed has the latest entries, and what falls out of it is not deleted\n")
	case d.first():
		b.WriteString("# no deletes: as long as only the first page is read, what is not on it proves nothing\n")
	default:
		b.WriteString("# deletes = { detect = \"scan\" }    # when each poll reads the whole list: what two of them lack is deleted\n")
	}
}

// first says whether there are more records than this configuration reads.
func (d *drafter) first() bool {
	return d.pages == nil && !d.has("pages") && (d.guess.More || d.guess.Total > int64(d.guess.Count))
}

func (d *drafter) incremental(b *strings.Builder) {
	if !d.says(guess.AboutCursor) {
		return
	}
	d.comment(b, guess.AboutCursor)
	if u := d.guess.Updated; u != nil && !d.has("cursor") {
		format := ""
		if f := u.Format(); f != "rfc3339" {
			format = ", format = " + quote(f)
		}
		fmt.Fprintf(b, "# cursor  = { field = %s, param = \"updated_since\"%s, full_scan = \"1d\" }    # asks only for what changed; what param is called says the API's documentation\n",
			quote(u.Path.String()), format)
	}
}

func (d *drafter) says(about string) bool {
	return slices.ContainsFunc(d.notes(), func(n guess.Note) bool { return n.About == about })
}

// pagesText writes the table pages on one line.
func pagesText(p *poller.Pages) string {
	parts := []string{"kind = " + quote(p.Kind)}
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+" = "+quote(value))
		}
	}
	add("param", p.Param)
	add("in", p.In)
	add("next", p.Next.String())
	if p.Start != 0 {
		parts = append(parts, "start = "+p.Start.String())
	}
	add("has_more", p.More.String())
	add("total", p.Total.String())
	return "{ " + strings.Join(parts, ", ") + " }"
}

// visible keeps control characters, which names of the API may have, out of comments.
func visible(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// wrapped breaks a text into lines.
func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
