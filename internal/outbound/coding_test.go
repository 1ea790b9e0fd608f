package outbound

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

// readCoded undoes the codings of a header.
func readCoded(data []byte, header string, most int64) (string, error) {
	out, err := io.ReadAll(decompress(bytes.NewReader(data), header, most))
	return string(out), err
}

func TestContentCodingsAreUndone(t *testing.T) {
	document := `[` + strings.Repeat(`{"id":1},`, 10_000) + `{}]`
	for header, codings := range map[string]string{
		"": "", "identity": "", "none": "", "UTF-8": "",
		"gzip": "gzip", "x-gzip": "gzip", "GZIP": "gzip", " gzip ": "gzip", "gzip, identity": "gzip",
		"deflate": "deflate", "Deflate": "raw", "br": "br", "zstd": "zstd",
		"deflate, gzip": "raw,gzip", "br,zstd": "br,zstd", "gzip, gzip,gzip , gzip": "gzip,gzip,gzip,gzip",
	} {
		if got, err := readCoded(encode(t, codings, []byte(document)), header, int64(len(document))); err != nil || got != document {
			t.Errorf("%q: %d bytes, %v", header, len(got), err)
		}
	}
	two := append(encode(t, "gzip", []byte("[1,")), encode(t, "gzip", []byte("2]"))...)
	if got, err := readCoded(two, "gzip", 0); err != nil || got != "[1,2]" {
		t.Errorf("two members: %q, %v", got, err)
	}
	for _, header := range []string{"compress", strings.Repeat("gzip,", 5)} {
		if _, err := readCoded([]byte("x"), header, 0); err == nil || !strings.Contains(err.Error(), "content-encoding") {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestCutCompressedDataAreAnErrorNotAnEnd(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "raw", "br", "zstd"} {
		for _, text := range []string{"[]", strings.Repeat(`{"id":"007"}`+"\n", 300)} {
			data := encode(t, coding, []byte(text))
			for cut := range data {
				_, err := readCoded(data[:cut], strings.Replace(coding, "raw", "deflate", 1), 0)
				e, ok := errors.AsType[*encodingError](err)
				if !ok || !e.truncated || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "cut off") {
					t.Fatalf("%s cut at %d of %d: %v", coding, cut, len(data), err)
				}
			}
		}
	}
}

func TestDamagedCompressedDataAreAnError(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		in := `{"not":"compressed at all"}` + strings.Repeat("x", 100)
		_, err := readCoded([]byte(in), coding, 0)
		if e, ok := errors.AsType[*encodingError](err); !ok || e.Unwrap() == nil || !strings.Contains(err.Error(), coding) {
			t.Errorf("%s: %v", coding, err)
		}
	}
	sum := encode(t, "gzip", []byte("[]"))
	sum[len(sum)-6] ^= 1
	if _, err := readCoded(sum, "gzip", 0); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a wrong checksum: %v", err)
	}
}

func TestDataBehindTheCompressedOnesAreAnError(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "raw", "br", "zstd"} {
		data := append(encode(t, coding, []byte("[1]")), "junk junk junk junk"...)
		_, err := readCoded(data, strings.Replace(coding, "raw", "deflate", 1), 0)
		if _, ok := errors.AsType[*encodingError](err); !ok {
			t.Errorf("%s: got %v", coding, err)
		}
	}
}

func TestT20ACompressionBombHitsTheLimit(t *testing.T) {
	const limit = 1 << 20
	zeros := bytes.Repeat([]byte{' '}, 4*limit)
	for _, codings := range []string{"gzip", "deflate", "br", "zstd", "gzip,gzip"} {
		bomb := encode(t, codings, zeros)
		got := &counter{}
		_, err := io.Copy(got, decompress(bytes.NewReader(bomb), codings, limit))
		if e, ok := errors.AsType[*Error](err); !ok || e.Reason != "too_large" || got.n != limit {
			t.Errorf("%s: after %d bytes came %v", codings, got.n, err)
		}
	}
}

func TestT20ABombInsideOfABombHitsTheLimit(t *testing.T) {
	empty := encode(t, "gzip", nil)
	bomb := encode(t, "gzip", bytes.Repeat(empty, 1<<20)) // a small body of many members that are nothing
	_, err := readCoded(bomb, "gzip, gzip", 1<<20)
	if e, ok := errors.AsType[*Error](err); !ok || e.Reason != "too_large" {
		t.Errorf("got %v", err)
	}
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func FuzzDecompress(f *testing.F) {
	codings := []string{"gzip", "deflate", "br", "zstd", "gzip,deflate"}
	for i, name := range codings {
		f.Add(encode(f, name, []byte(`{"a":1}`)), i)
	}
	f.Fuzz(func(t *testing.T, in []byte, coding int) {
		const most = 64 << 10
		name := codings[uint(coding)%uint(len(codings))]
		if out, err := readCoded(in, name, most); len(out) > most || err == nil && len(in) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(out), err)
		}
	})
}
