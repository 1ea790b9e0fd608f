package stored

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/poller"
)

func FuzzBodiesComeBack(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"n":9007199254740993,"d":1.10}`, "\x00\xff", strings.Repeat(`{"a":1},`, 500)} {
		f.Add([]byte(seed))
	}
	c, err := NewCodec()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		packed := c.Pack([]byte("dst"), body)[3:]
		if len(packed) > len(body)+1 {
			t.Errorf("%d bytes became %d", len(body), len(packed))
		}
		got, err := c.Unpack([]byte("before "), packed)
		if err != nil || string(got) != "before "+string(body) {
			t.Fatalf("%q came back as %q, %v", body, got, err)
		}
		if got, err := c.Unpack(nil, body); err == nil && len(body) > 0 && body[0] == plainBody && string(got) != string(body[1:]) {
			t.Errorf("plain %q read as %q", body, got)
		}
	})
}

func TestADamagedBodyIsAnError(t *testing.T) {
	c, err := NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	packed := c.Pack(nil, bytes.Repeat([]byte("abc"), 1000))
	for _, stored := range [][]byte{nil, {}, {7, 'x'}, packed[:len(packed)/2], append([]byte{zstdBody}, "nonsense"...)} {
		if got, err := c.Unpack(nil, stored); !errors.Is(err, ErrBody) {
			t.Errorf("%q was read as %q, %v", stored, got, err)
		}
	}
	if c.Pack(nil, nil) != nil {
		t.Error("no body was packed to something")
	}
}

func FuzzStatesComeBack(f *testing.F) {
	f.Add("W/\"x\"", "Mon, 23 Nov 2026 11:59:59 GMT", []byte(`{"a": 1.10}`), int64(1_763_899_200_123_456))
	f.Add("\xff\xfe<>&", "", []byte(nil), int64(0))
	f.Fuzz(func(t *testing.T, etag, modified string, cursor []byte, at int64) {
		at %= 1 << 56
		st := poller.State{Baselined: time.UnixMicro(at).UTC(), Cursor: cursor}
		st.Validators.ETag, st.Validators.LastModified, st.Validators.At = etag, modified, time.UnixMicro(at).UTC()
		row, err := EncodeState(st)
		if err != nil {
			t.Skip(err) // a year that JSON does not write
		}
		var got poller.State
		if err := row.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if got.Validators.ETag != etag || got.Validators.LastModified != modified || !bytes.Equal(got.Cursor, cursor) ||
			!got.Baselined.Equal(st.Baselined) || got.Validators.At.UnixMicro() != at {
			t.Errorf("%+v came back as %+v", st, got)
		}
	})
}

func FuzzPrintsComeBack(f *testing.F) {
	f.Add(uint64(0), ^uint64(0))
	f.Fuzz(func(t *testing.T, raw, canon uint64) {
		p := differ.Print{Raw: raw, Canon: canon}
		if got, err := DecodePrint(AppendPrint(nil, p)); err != nil || got != p {
			t.Errorf("%v came back as %v, %v", p, got, err)
		}
	})
}

func TestADamagedFingerprintIsAnError(t *testing.T) {
	if _, err := DecodePrint([]byte("short")); err == nil {
		t.Error("five bytes are a fingerprint")
	}
}

func TestExcerptsAreCutBetweenCharacters(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("x", ExcerptLimit), strings.Repeat("x", ExcerptLimit+1), "a" + strings.Repeat("é", ExcerptLimit)} {
		got := Clip(text)
		if len(got) > ExcerptLimit || !strings.HasPrefix(text, got) || (len(text) <= ExcerptLimit && got != text) || len(got) < min(len(text), ExcerptLimit-1) {
			t.Errorf("%d bytes were cut to %d", len(text), len(got))
		}
	}
}

func TestATextForPeopleIsOneThatEveryDatabaseTakes(t *testing.T) {
	for text, want := range map[string]string{"": "", "é <&>": "é <&>", "a\x00b\xffc": "a\uFFFDb\uFFFDc"} {
		if got := Clean(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
