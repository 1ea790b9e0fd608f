package differ

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestWhatIsTooLargeIsAnErrorAndNotRead(t *testing.T) {
	long := `"` + strings.Repeat("x", 100_000) + `"`
	for _, c := range []struct {
		name, doc, what string
		spec            Spec
		o               Options
	}{
		{"record", `{"n":1,"items":[1,` + long + `]}`, "record at byte 1", spec("items"), Options{MaxRecord: 1000, MaxEnvelope: 1 << 20}},
		{"short record", `{"items":[1,"` + long[1:1001] + `"]}`, "record at byte 12", spec("items"), Options{MaxRecord: 1000}},
		{"short whole document", `{"a":` + long[:1000] + `"}`, "answer at byte 0", spec("a|b"), Options{MaxEnvelope: 1000}},
		{"record that never ends", `{"items":["` + strings.Repeat("x", 300_000), "record at byte 10", spec("items"), Options{MaxRecord: 100_000}},
		{"member", `{"a":` + long + `,"items":[1]}`, "answer without its records", spec("items"), Options{MaxEnvelope: 1000}},
		{"member after", `{"items":[1],"a":` + long + `}`, "answer without its records", spec("items"), Options{MaxEnvelope: 1000}},
		{"many members", `{` + strings.Repeat(`"a":1,`, 1000) + `"items":[1]}`, "answer without its records", spec("items"), Options{MaxEnvelope: 1000}},
		{"single", `{"a":` + long + `}`, "record", Spec{Single: true, Records: MustPath("a")}, Options{MaxRecord: 1000, MaxEnvelope: 1000}},
		{"small single of a larger answer", `{"b":[` + long + `],"a":"` + strings.Repeat("x", 2000) + `"}`, "record", Spec{Single: true, Records: MustPath("a")}, Options{MaxRecord: 1000, MaxEnvelope: 1 << 20}},
		{"whole document", `{"a":` + long + `}`, "answer at byte 0", spec("a|b"), Options{MaxEnvelope: 1000}},
		{"whole long document", `{"a":` + strings.Repeat(long+" ", 3) + `}`, "answer at byte 0", spec("a|b"), Options{MaxEnvelope: 1000}},
	} {
		c.o.Spec = c.spec
		_, err := readAll(NewReader(strings.NewReader(c.doc), c.o))
		large, ok := errors.AsType[*TooLargeError](err)
		if !ok || !strings.Contains(err.Error(), c.what) || large.Limit == 0 {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	exact := `["` + strings.Repeat("x", 998) + `"]`
	if got, err := readAll(NewReader(strings.NewReader(exact), Options{MaxRecord: 1000})); !errors.Is(err, io.EOF) || len(got) != 1 {
		t.Errorf("a record of the largest size: %v", err)
	}
}

func TestNestingIsLimited(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if _, err := readAll(NewReader(strings.NewReader(nested(maxDepth)), Options{})); !errors.Is(err, io.EOF) {
		t.Errorf("%d levels: %v", maxDepth, err)
	}
	_, err := readAll(NewReader(strings.NewReader(nested(maxDepth+1)), Options{}))
	if syntax, ok := errors.AsType[*SyntaxError](err); !ok || !strings.Contains(syntax.What, "nesting") {
		t.Errorf("%d levels: %v", maxDepth+1, err)
	}
	objects := strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1)
	if _, err := readAll(NewReader(strings.NewReader(objects), Options{Spec: spec("x")})); err == nil || !strings.Contains(err.Error(), "nesting") {
		t.Errorf("objects: %v", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestAnIdleSourceIsGivenUp(t *testing.T) {
	if _, err := NewReader(idle{}, Options{}).Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("%v", err)
	}
}

// endless writes an endless list.
type endless struct {
	element string
	at      int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k := copy(p[n:], e.element[e.at:])
		n += k
		e.at = (e.at + k) % len(e.element)
	}
	return n, nil
}

func TestMemoryDoesNotGrowWithTheList(t *testing.T) {
	src := io.MultiReader(strings.NewReader(`{"data":{"items":[0`), &endless{element: "," + smallRecord(1)})
	r := NewReader(src, Options{Spec: spec("data.items", "id")})
	const records = 50_000 // more than ten megabytes
	next := func() {
		for range records / 10 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	next()
	if n := testing.AllocsPerRun(9, next); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if cap(r.input.buf) != bufferSize {
		t.Errorf("the buffer has %d bytes", cap(r.input.buf))
	}
}

func TestALongRecordIsNotReadAgainAndAgain(t *testing.T) {
	const size = 8 << 20
	read := &counting{src: strings.NewReader(`["` + strings.Repeat("x", size) + `"]`)}
	got, err := readAll(NewReader(read, Options{}))
	if !errors.Is(err, io.EOF) || len(got) != 1 || len(got[0]) != size+2 {
		t.Fatalf("%d records, %v", len(got), err)
	}
	if read.calls > 20 {
		t.Errorf("%d reads", read.calls)
	}
}

type counting struct {
	src   io.Reader
	calls int
}

func (c *counting) Read(p []byte) (int, error) {
	c.calls++
	return c.src.Read(p)
}

func TestAnUnchangedPollDoesNotAllocate(t *testing.T) {
	const records = 500
	for name, record := range map[string]func(int) string{"small": smallRecord, "large": largeRecord} {
		doc := list(records, record)
		p := newPoll(records, func(h *Hasher, n int) (Hash, uint64) {
			return h.Key(fmt.Append(nil, 1_000_000+n)), h.Raw([]byte(record(n)))
		})
		same := 0
		look := func(rec Record) {
			p.key, _ = p.spec.AppendKey(p.key[:0], rec)
			if s, _ := p.index.See(p.hasher.Key(p.key), p.hasher.Raw(rec.Raw)); s == Same {
				same++
			}
		}
		const runs = 10
		allocations := testing.AllocsPerRun(runs, func() { p.run(t, doc, look) })
		if allocations > 1 { // the source of the document
			t.Errorf("%s: %v allocations for %d records", name, allocations, records)
		}
		if same != records*(runs+1) {
			t.Errorf("%s: %d records are the same", name, same)
		}
	}
}
