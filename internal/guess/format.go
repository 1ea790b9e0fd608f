package guess

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller/decode"
)

// format finds how the answer is written, by looking at it: what servers declare is wrong too often.
func (g *Guess) format(a *Answer) error {
	kind, params, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	g.charset(a.Body, params["charset"])
	text := bytes.TrimLeft(bytes.TrimPrefix(a.Body, []byte("\xef\xbb\xbf")), " \t\r\n")
	title, html := decode.LooksLikeHTML(text)
	switch {
	case len(text) == 0:
		return &setting.HintedError{Message: "the answer is empty", Hint: "give a url that shows at least one record"}
	case html:
		return &setting.HintedError{
			Message: strings.TrimSuffix(fmt.Sprintf("the answer is an HTML page: %q", title), `: ""`),
			Hint:    "a login or error page, or an address for people: give the url of the API, and --header or --user if it wants credentials",
		}
	case text[0] == '<', bytes.HasPrefix(text, []byte("\xff\xfe<")), bytes.HasPrefix(text, []byte("\xfe\xff\x00<")):
		g.Response.Format = "xml"
	case text[0] == 0x1e:
		g.Response.Format = "ndjson"
	case text[0] == '{' || text[0] == '[':
		g.Response.Format = jsonOrLines(text, kind)
	case looksLikeTable(text, kind):
		g.Response.Format = "csv"
		g.table(text)
	default:
		return g.noList(text)
	}
	return nil
}

func (g *Guess) noList(text []byte) error {
	if _, err := parse(text); err == nil {
		return &setting.HintedError{Message: "the answer is one bare value and no list: " + clip(string(text)), Hint: "give a url that answers with records"}
	}
	return &setting.HintedError{
		Message: fmt.Sprintf("the answer is neither JSON, NDJSON, XML nor CSV: %q", clip(strings.ToValidUTF8(string(text), "�"))),
		Hint:    "ask for one of them, perhaps with --header 'Accept: application/json'",
	}
}

// jsonOrLines tells one document from one on each line. A single line is both: then the declared type decides.
func jsonOrLines(text []byte, kind string) string {
	lines := strings.Contains(kind, "ndjson") || strings.Contains(kind, "jsonl") || strings.Contains(kind, "json-seq")
	if _, err := parse(text); err == nil && !lines {
		return "json"
	}
	line, rest, more := bytes.Cut(text, []byte("\n"))
	if _, err := parse(bytes.TrimSpace(line)); err == nil && (lines || more && len(bytes.TrimSpace(rest)) > 0) {
		return "ndjson"
	}
	return "json"
}

// charset is guessed only when nothing is declared, or when what is declared cannot be.
func (g *Guess) charset(body []byte, declared string) {
	switch {
	case utf8.Valid(body), bytes.HasPrefix(body, []byte("\xff\xfe")), bytes.HasPrefix(body, []byte("\xfe\xff")):
		return
	case declared != "" && !strings.EqualFold(strings.ReplaceAll(declared, "-", ""), "utf8"):
		return
	case declared == "" && bytes.Contains(body[:min(len(body), 200)], []byte("encoding=")) && body[0] == '<':
		return // the XML declaration says it
	}
	g.Response.Charset = "windows-1252"
	g.unsure(AboutFormat, fmt.Sprintf("the answer is not UTF-8 and %s; read as windows-1252 it has %q: if that looks wrong, set another charset", declaredText(declared), foreignWord(body)))
}

func declaredText(declared string) string {
	if declared == "" {
		return "declares no charset"
	}
	return "yet declares " + declared
}

// foreignWord shows the first word that is not ASCII, as windows-1252 has it, so that a person can judge.
func foreignWord(body []byte) string {
	at := slices.IndexFunc(body, func(b byte) bool { return b >= 0x80 })
	if at < 0 {
		return ""
	}
	separator := func(b byte) bool { return b < 0x80 && (b|0x20 < 'a' || b|0x20 > 'z') }
	from, to := at, at
	for from > 0 && !separator(body[from-1]) && at-from < 20 {
		from--
	}
	for to < len(body) && !separator(body[to]) && to-at < 20 {
		to++
	}
	r, err := decode.Body(bytes.NewReader(body[from:to]), decode.Options{Charset: "windows-1252"})
	if err != nil {
		return ""
	}
	word, _ := io.ReadAll(r) // what cannot be read is missing in a message
	return string(word)
}

// looksLikeTable says whether a text has the same number of fields on its first lines.
func looksLikeTable(text []byte, kind string) bool {
	if kind == "text/csv" || kind == "text/tab-separated-values" {
		return true
	}
	delimiter, _ := delimiterOf(text)
	if delimiter == 0 {
		return false
	}
	rows, err := firstRows(text, delimiter)
	return err == nil && len(rows) > 1 && len(rows[0]) > 1 && len(rows[1]) == len(rows[0])
}

// delimiterOf gives the delimiter of the header row, and whether Excel's first line names it.
func delimiterOf(text []byte) (delimiter byte, named bool) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.Trim(line, "\r\"")
	if rest, ok := bytes.CutPrefix(bytes.ToLower(line), []byte("sep=")); ok && len(rest) == 1 {
		return rest[0], true
	}
	most := 0
	for _, c := range []byte(",;\t|") {
		if n := bytes.Count(line, []byte{c}); n > most {
			delimiter, most = c, n
		}
	}
	return delimiter, false
}

func firstRows(text []byte, delimiter byte) ([][]string, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = rune(delimiter), true, -1
	var rows [][]string
	for len(rows) < 3 {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// table decides on the delimiter, and whether the first row names the columns.
func (g *Guess) table(text []byte) {
	delimiter, named := delimiterOf(text)
	if delimiter == 0 || named {
		return
	}
	if delimiter != ',' {
		g.Response.Delimiter = string(delimiter)
	}
	rows, err := firstRows(text, delimiter)
	if err != nil || len(rows) == 0 || isHeader(rows) {
		return
	}
	for i := range rows[0] {
		g.Response.Columns = append(g.Response.Columns, fmt.Sprintf("column_%d", i+1))
	}
	g.unsure(AboutFormat, "the first row looks like data and not like names of columns: give the columns better names, or remove columns if it has the names")
}

// isHeader says whether a first row names columns: no field of it is empty in the middle, a number or a date.
func isHeader(rows [][]string) bool {
	first := rows[0]
	for i, field := range first {
		field = strings.TrimSpace(field)
		if field == "" && i == len(first)-1 {
			continue
		}
		if field == "" || isNumber(field) || timeForm(field) != "" || slices.Contains(first[:i], field) {
			return false
		}
	}
	return true
}

func clip(text string) string {
	const most = 80
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
