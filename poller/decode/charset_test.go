package decode

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
)

func TestCharsetsAreConverted(t *testing.T) {
	const latin = "[\"Z\xfcrich \x80\"]" // windows-1252, which is what servers mean by iso-8859-1
	const readable = `["Zürich €"]`
	sjis, err := japanese.ShiftJIS.NewEncoder().String(`["東京"]`)
	if err != nil {
		t.Fatal(err)
	}
	dos, err := charmap.CodePage850.NewEncoder().String(`["Zürich"]`)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in   string
		o    Options
		want string
	}{
		"declared":                {latin, Options{ContentType: "application/json; charset=ISO-8859-1"}, readable},
		"declared and quoted":     {latin, Options{ContentType: `text/plain; x=1; Charset="windows-1252"`}, readable},
		"declared twice":          {latin, Options{ContentType: "text/plain; charset=windows-1252,text/plain"}, readable},
		"configured":              {latin, Options{Charset: "windows-1252"}, readable},
		"configured wins":         {latin, Options{Charset: "latin1", ContentType: "application/json; charset=utf-8"}, readable},
		"configured utf-8 wins":   {readable, Options{Charset: "utf-8", ContentType: "application/json; charset=ISO-8859-1"}, readable},
		"shift_jis":               {sjis, Options{ContentType: "text/json;charset=Shift_JIS"}, `["東京"]`},
		"a name of the IANA only": {dos, Options{Charset: "ibm850"}, `["Zürich"]`},
		"declared utf8":           {readable, Options{ContentType: "application/json; charset=UTF8"}, readable},
		"no value":                {readable, Options{ContentType: "application/json; charset="}, readable},
		"nothing declared":        {latin, Options{ContentType: "application/json"}, latin},
		"nothing guessed":         {sjis, Options{}, sjis},
		"broken utf-8 passes":     {"[\"\xff\"]", Options{ContentType: "text/plain; charset=utf-8"}, "[\"\xff\"]"},
		"no such character":       {"[\"\x81\"]", Options{Charset: "shift_jis"}, "[\"\uFFFD\"]"},
	} {
		t.Run(name, func(t *testing.T) { want(t, c.in, c.o, c.want) })
	}
}

func TestUTF16IsReadByItsMark(t *testing.T) {
	for _, order := range []unicode.Endianness{unicode.LittleEndian, unicode.BigEndian} {
		in, err := unicode.UTF16(order, unicode.UseBOM).NewEncoder().String(`["𝄞 €"]`)
		if err != nil {
			t.Fatal(err)
		}
		want(t, in, Options{}, `["𝄞 €"]`)
		want(t, in, Options{ContentType: "application/json; charset=utf-16"}, `["𝄞 €"]`)
		want(t, in, Options{ContentType: "application/json; charset=iso-8859-1"}, `["𝄞 €"]`)
		want(t, in, Options{Charset: "UTF-16"}, `["𝄞 €"]`)
	}
	want(t, "[\x001\x00]\x00", Options{Charset: "utf-16le"}, "[1]")
}

func TestTheXMLDeclarationNamesTheCharset(t *testing.T) {
	const latin = "<n>M\xfcller</n>"
	for _, declaration := range []string{
		`<?xml version="1.0" encoding="ISO-8859-1"?>`,
		`<?xml version='1.0' encoding='iso-8859-1' standalone='yes'?>`,
		"\r\n  <?xml version=\"1.0\"\n encoding = \"windows-1252\" ?>\n",
		`<?xml version="1.0" ` + strings.Repeat(" ", 2000) + `encoding="ISO-8859-1"?>`,
	} {
		want(t, declaration+latin, Options{Format: "xml"}, `{"n":"Müller"}`)
	}
	utf := "<n>Müller</n>"
	for _, declaration := range []string{
		`<?xml version="1.0"?>`, `<?xml version="1.0" encoding="UTF-8"?>`, `<?xml version="1.0" encoding=""?>`,
		`<?xml version="1.0" encoding="utf-16"?>`, // written to a string of UTF-16 first, and then sent as UTF-8
		`<?xml-stylesheet encoding="ISO-8859-1"?>`, `<!-- encoding="ISO-8859-1"?> -->`,
	} {
		want(t, declaration+utf, Options{Format: "xml"}, `{"n":"Müller"}`)
	}
	const declared = `<?xml version="1.0" encoding="ISO-8859-1"?>`
	want(t, declared+utf, Options{Format: "xml", ContentType: "text/xml; charset=utf-8"}, `{"n":"Müller"}`)
	want(t, declared+utf, Options{Format: "xml", Charset: "utf-8"}, `{"n":"Müller"}`)
	want(t, "\xef\xbb\xbf"+declared+utf, Options{Format: "xml"}, `{"n":"Müller"}`)
	want(t, `<?xml version="1.0" encoding="UTF-8"?>`+latin, Options{Format: "xml", Charset: "iso-8859-1"}, `{"n":"Müller"}`)
	wantError[*SyntaxError](t, latin, Options{Format: "xml"}, "UTF-8")
	in, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(`<?xml version="1.0" encoding="utf-16"?>` + utf)
	if err != nil {
		t.Fatal(err)
	}
	want(t, in, Options{Format: "xml"}, `{"n":"Müller"}`)
}

func TestACharsetThatCannotBeRightIsAnError(t *testing.T) {
	e := failsWith[*CharsetError](t, "[1]", Options{ContentType: "text/plain; charset=klingon"}, "klingon", "Content-Type")
	if e != nil && !strings.Contains(e.NextStep(), "response.charset") {
		t.Errorf("the next step is %q", e.NextStep())
	}
	wantError[*CharsetError](t, "[1]", Options{ContentType: "text/plain; charset=iso-2022-kr"}, "iso-2022-kr")
	wantError[*CharsetError](t, `<?xml version="1.0" encoding="x-mac-klingon"?><a/>`, Options{Format: "xml"}, "x-mac-klingon", "XML declaration")
	e = failsWith[*CharsetError](t, "\xef\xbb\xbf[1]", Options{Charset: "windows-1252"}, "utf-8", "windows-1252")
	if e != nil && !strings.Contains(e.NextStep(), "utf-8") {
		t.Errorf("the next step is %q", e.NextStep())
	}
	wantError[*CharsetError](t, "\xfe\xff\x00[", Options{Charset: "utf-16le"}, "utf-16be", "utf-16le")
	wantError[*CharsetError](t, "\xfe\xff\x00[", Options{Charset: "utf-8"}, "utf-16be", "utf-8")
	want(t, "[1]", Options{ContentType: "text/plain; charset=klingon", Charset: "utf-8"}, "[1]")
	want(t, "\xef\xbb\xbf[1]", Options{ContentType: "text/plain; charset=klingon"}, "[1]")
}

func TestUTF8IsReadWithoutACopy(t *testing.T) {
	src := &lender{data: bytes.Repeat([]byte("1 "), 100_000)}
	body, err := Body(src, Options{ContentType: "application/json; charset=utf-8"})
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 32<<10)
	for range 3 { // the first Reads give what was looked at
		if _, err := io.ReadFull(body, p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := body.Read(p); err != nil || &src.last[0] != &p[0] {
		t.Errorf("the source was not asked to fill the caller's memory (%v)", err)
	}
}

// lender remembers into whose memory it was asked to read.
type lender struct{ data, last []byte }

func (l *lender) Read(p []byte) (int, error) {
	l.last = p
	n := copy(p, l.data)
	l.data = l.data[n:]
	return n, nil
}
