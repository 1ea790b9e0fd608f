package decode

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
)

// endless repeats a row between a head and a tail until size bytes came.
type endless struct {
	head, row, tail string
	size            int64
	rest            string
	done            bool
}

func newEndless(s sample, size int64) *endless {
	return &endless{head: s.head, row: strings.Repeat(s.row, 100), tail: s.tail, size: size, rest: s.head}
}

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		switch {
		case e.size > 0:
			e.rest = e.row
		case e.done:
			return 0, io.EOF
		default:
			e.rest, e.done = e.tail, true
		}
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	e.size -= int64(n)
	return n, nil
}

type sample struct {
	o               Options
	head, row, tail string
}

func samples() map[string]sample {
	const (
		name = "Ann Müller & Söhne GmbH"
		text = "a longer text, as there are in records of customers and articles"
	)
	csv := `4711;"` + name + `";2026-11-23T12:00:00Z;1.234,50;"` + text + `";;x` + "\r\n"
	return map[string]sample{
		"json": {o: Options{}, head: `[`, row: `{"id":"4711","name":"` + name + `","text":"` + text + `"},`, tail: `{}]`},
		"ndjson": {
			o:   Options{Format: "ndjson"},
			row: `{"id":4711,"name":"` + name + `","updated":"2026-11-23T12:00:00Z","price":1234.50,"text":"` + text + `","tags":["a","b"]}` + "\n",
		},
		"csv":         {o: Options{Format: "csv"}, head: "id;name;updated;price;text;empty;last\r\n", row: csv},
		"csv charset": {o: Options{Format: "csv", Charset: "windows-1252"}, head: "id;name;updated;price;text;empty;last\r\n", row: csv},
		"xml": {
			o:    Options{Format: "xml", Records: "Envelope.Body.R.items.item"},
			head: `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><R><items>`,
			row: "\n  <item id=\"4711\">\n   <name>" + strings.Replace(name, "&", "&amp;", 1) + "</name>\n   <updated>2026-11-23T12:00:00Z</updated>\n" +
				"   <price currency=\"EUR\">1234.50</price>\n   <text>" + text + "</text>\n   <tag>a</tag><tag>b</tag>\n  </item>",
			tail: `</items><total>1</total></R></s:Body></s:Envelope>`,
		},
	}
}

func BenchmarkBody(b *testing.B) {
	for name, s := range samples() {
		b.Run(name, func(b *testing.B) {
			const size = 8 << 20
			in, err := io.ReadAll(newEndless(s, size))
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 64<<10)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				body, err := Body(bytes.NewReader(in), s.o)
				if err == nil {
					_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{body}, buf)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestMemoryDoesNotGrowWithTheAnswer(t *testing.T) {
	if testing.Short() {
		t.Skip("reads much of each format")
	}
	const (
		size = 24 << 20
		most = 2 << 20
	)
	for name, s := range samples() {
		t.Run(name, func(t *testing.T) {
			before := heap()
			body, err := Body(newEndless(s, size), s.o)
			if err != nil {
				t.Fatal(err)
			}
			var peak, out uint64
			for {
				n, err := io.CopyN(io.Discard, body, 2<<20)
				out += uint64(n)
				peak = max(peak, heap())
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			runtime.KeepAlive(body)
			if used := int64(peak) - int64(before); used > most || out < size/2 {
				t.Errorf("%d bytes took %d of memory", out, used)
			} else {
				t.Logf("%d MB took %d KiB of memory", out>>20, used>>10)
			}
		})
	}
}

// heap gives the bytes that are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
