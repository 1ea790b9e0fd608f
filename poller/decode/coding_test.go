package decode

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// encode compresses data as the codings of a Content-Encoding header say; "raw" is deflate without zlib.
func encode(tb testing.TB, codings string, data []byte) []byte {
	tb.Helper()
	for name := range strings.SplitSeq(codings, ",") {
		var out bytes.Buffer
		var w io.WriteCloser
		var err error
		switch strings.TrimSpace(name) {
		case "":
			continue
		case "gzip":
			w = gzip.NewWriter(&out)
		case "deflate":
			w = zlib.NewWriter(&out)
		case "raw":
			w, err = flate.NewWriter(&out, flate.DefaultCompression)
		case "br":
			w = brotli.NewWriter(&out)
		case "zstd":
			w, err = zstd.NewWriter(&out)
		}
		if err == nil {
			_, err = w.Write(data)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			tb.Fatal(err)
		}
		data = out.Bytes()
	}
	return data
}

func TestContentCodingsAreUndone(t *testing.T) {
	document := `[` + strings.Repeat(`{"id":1},`, 10_000) + `{}]`
	for header, codings := range map[string]string{
		"": "", "identity": "", "none": "", "UTF-8": "",
		"gzip": "gzip", "x-gzip": "gzip", "GZIP": "gzip", " gzip ": "gzip", "gzip, identity": "gzip",
		"deflate": "deflate", "Deflate": "raw", "br": "br", "zstd": "zstd",
		"deflate, gzip": "raw,gzip", "br,zstd": "br,zstd", "gzip, gzip,gzip , gzip": "gzip,gzip,gzip,gzip",
	} {
		want(t, string(encode(t, codings, []byte(document))), Options{ContentEncoding: header, MaxBody: int64(len(document))}, document)
	}
	two := append(encode(t, "gzip", []byte("[1,")), encode(t, "gzip", []byte("2]"))...)
	want(t, string(two), Options{ContentEncoding: "gzip"}, "[1,2]")
}

func TestCutCompressedDataAreAnErrorNotAnEnd(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "raw", "br", "zstd"} {
		for _, text := range []string{"[]", strings.Repeat(`{"id":"007"}`+"\n", 300)} {
			data := encode(t, coding, []byte(text))
			for cut := range data {
				_, err := read(bytes.NewReader(data[:cut]), Options{ContentEncoding: strings.Replace(coding, "raw", "deflate", 1)})
				e, ok := errors.AsType[*EncodingError](err)
				if !ok || !e.Truncated || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "breaks off") {
					t.Fatalf("%s cut at %d of %d: %v", coding, cut, len(data), err)
				}
			}
		}
	}
}

func TestDamagedCompressedDataAreAnError(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		in := `{"not":"compressed at all"}` + strings.Repeat("x", 100)
		e := failsWith[*EncodingError](t, in, Options{ContentEncoding: coding}, coding)
		if e != nil && e.Unwrap() == nil {
			t.Errorf("%s: there is no reason", coding)
		}
	}
	sum := encode(t, "gzip", []byte("[]"))
	sum[len(sum)-6] ^= 1
	wantError[*EncodingError](t, string(sum), Options{ContentEncoding: "gzip"}, "checksum")
}

func TestDataBehindTheCompressedOnesAreAnError(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "raw", "br", "zstd"} {
		data := append(encode(t, coding, []byte("[1]")), "junk junk junk junk"...)
		_, err := read(bytes.NewReader(data), Options{ContentEncoding: strings.Replace(coding, "raw", "deflate", 1)})
		if _, ok := errors.AsType[*EncodingError](err); !ok {
			t.Errorf("%s: got %v", coding, err)
		}
	}
}

func TestACompressionBombHitsTheLimit(t *testing.T) {
	const limit = 1 << 20
	zeros := bytes.Repeat([]byte{' '}, 64<<20)
	for _, codings := range []string{"gzip", "deflate", "br", "zstd", "gzip,gzip"} {
		bomb := encode(t, codings, zeros)
		got := &counter{}
		body, err := Body(bytes.NewReader(bomb), Options{ContentEncoding: codings, MaxBody: limit})
		if err == nil {
			_, err = io.Copy(got, body)
		}
		if e, ok := errors.AsType[*TooLargeError](err); !ok || e.Limit != limit || got.n != limit {
			t.Errorf("%s: after %d bytes came %v", codings, got.n, err)
		}
	}
}

func TestABombInsideOfABombHitsTheLimit(t *testing.T) {
	empty := encode(t, "gzip", nil)
	bomb := encode(t, "gzip", bytes.Repeat(empty, 1<<20)) // a small body of many members that are nothing
	_, err := read(bytes.NewReader(bomb), Options{ContentEncoding: "gzip, gzip", MaxBody: 1 << 20})
	if _, ok := errors.AsType[*TooLargeError](err); !ok {
		t.Errorf("got %v", err)
	}
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
