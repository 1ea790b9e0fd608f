package differ

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// smallRecord has about 255 bytes, the size of a usual record of a legacy API.
func smallRecord(n int) string {
	return fmt.Sprintf(`{"id":%d,"name":"Ann Example %d","email":"ann.%d@example.com","status":"active","owner":{"id":%d,"name":"Bob"},`+
		`"amount":1.10,"tags":["alpha","beta","gamma"],"updated_at":"2026-11-23T12:00:00Z","note":"called back, wants an offer by \"Friday\""}`,
		1000000+n, n, n, n%97)
}

// largeRecord has about 4 KB.
func largeRecord(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":%d,"title":"Order %d","lines":[`, 1000000+n, n)
	for k := range 24 {
		if k > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"line":%d,"sku":"SKU-%06d","text":"A part with a usual description","quantity":%d,"price":%d.50}`, k, n*31+k, k%7, 100+k)
	}
	fmt.Fprintf(&b, `],"address":{"street":"Main Street %d","city":"Springfield","zip":"01234"},"remarks":%q}`, n%1000, strings.Repeat("Please deliver to the back door. ", 50))
	return b.String()
}

// listing is an answer with a list inside.
func listing(records int, record func(int) string) []byte {
	return fmt.Appendf(nil, `{"data":{"items":%s},"next":null}`, list(records, record))
}

func list(records int, record func(int) string) []byte {
	var b bytes.Buffer
	separator := byte('[')
	for n := range records {
		b.WriteByte(separator)
		b.WriteString(record(n))
		separator = ','
	}
	b.WriteByte(']')
	return b.Bytes()
}

// bound is the least that a poll has to do, with the whole body in memory: validate, cut, take the id.
func bound(tb testing.TB, doc string) {
	tb.Helper()
	length := 0
	if !gjson.Valid(doc) {
		tb.Fatal("not valid")
	}
	gjson.Parse(doc).ForEach(func(_, record gjson.Result) bool {
		length += len(record.Get("id").Raw)
		return true
	})
	if length == 0 {
		tb.Fatal("no ids")
	}
}

// poll is what looks at unchanged records.
type poll struct {
	spec   Spec
	reader *Reader
	hasher *Hasher
	index  *Index
	key    []byte
}

func newPoll(known int, hash func(h *Hasher, n int) (Hash, uint64)) *poll {
	p := &poll{spec: spec("@this", "id"), hasher: NewHasher(Seed{1}), index: NewIndex(known)}
	p.reader = NewReader(nil, Options{Spec: p.spec})
	for n := range known {
		key, raw := hash(p.hasher, n)
		p.index.Put(key, Print{Raw: raw}, 0)
	}
	return p
}

// run reads a document and hands each record to look.
func (p *poll) run(tb testing.TB, doc []byte, look func(Record)) {
	tb.Helper()
	p.reader.Reset(bytes.NewReader(doc))
	p.index.Begin()
	for {
		rec, err := p.reader.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			tb.Fatal(err)
		}
		look(rec)
	}
}

// BenchmarkPoll measures the steps of an unchanged poll, each with the ones before it. The metric x/bound compares with the
// bound, measured in turns with it.
func BenchmarkPoll(b *testing.B) {
	for _, size := range []struct {
		name    string
		records int
		record  func(int) string
	}{
		{"small", 200_000, smallRecord},
		{"large", 10_000, largeRecord},
	} {
		doc := list(size.records, size.record)
		shuffled := rand.New(rand.NewPCG(1, 2)).Perm(size.records)
		p := newPoll(size.records, func(h *Hasher, n int) (Hash, uint64) {
			return h.Key(fmt.Append(nil, 1_000_000+shuffled[n])), h.Raw([]byte(size.record(shuffled[n])))
		})
		key := func(rec Record) []byte {
			p.key, _ = p.spec.AppendKey(p.key[:0], rec)
			return p.key
		}
		b.Run(size.name+"/extract", func(b *testing.B) { against(b, p, doc, func(Record) {}) })
		b.Run(size.name+"/key", func(b *testing.B) { against(b, p, doc, func(rec Record) { key(rec) }) })
		b.Run(size.name+"/hash", func(b *testing.B) {
			against(b, p, doc, func(rec Record) { p.hasher.Key(key(rec)); p.hasher.Raw(rec.Raw) })
		})
		compare := func(rec Record) {
			if s, _ := p.index.See(p.hasher.Key(key(rec)), p.hasher.Raw(rec.Raw)); s != Same {
				b.Fatal("a record changed")
			}
		}
		b.Run(size.name+"/compare-in-another-order", func(b *testing.B) {
			p.index.order.scanned = true
			against(b, p, doc, func(rec Record) {
				p.index.order.wait = mostPause
				compare(rec)
			})
		})
		b.Run(size.name+"/compare", func(b *testing.B) {
			p.index.order = order{}
			for range 2 {
				p.run(b, doc, compare)
			}
			against(b, p, doc, compare)
		})
		b.Run(size.name+"/compare-next", func(b *testing.B) {
			against(b, p, doc, func(rec Record) {
				if _, same := p.index.SeeNext(p.hasher.Raw(rec.Raw)); !same {
					b.Fatal("a record changed")
				}
			})
		})
	}
}

func against(b *testing.B, p *poll, doc []byte, look func(Record)) {
	b.Helper()
	b.ReportAllocs()
	b.SetBytes(int64(len(doc)))
	text := string(doc)
	var own, least time.Duration
	for b.Loop() {
		start := time.Now()
		p.run(b, doc, look)
		own += time.Since(start)
		b.StopTimer()
		start = time.Now()
		bound(b, text)
		least += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(own)/float64(least), "x/bound")
}

// BenchmarkRecord measures what is done with one record that changed.
func BenchmarkRecord(b *testing.B) {
	for name, record := range map[string]func(int) string{"small": smallRecord, "large": largeRecord} {
		old, now := []byte(record(1)), []byte(strings.Replace(record(1), "a", "b", 1))
		h := NewHasher(Seed{})
		for rules, s := range map[string]*Shape{
			"":      compile(b, Spec{}),
			"rules": compile(b, Spec{Fields: paths("id", "name", "owner", "lines.#.sku", "tags"), Ignore: paths("owner.id"), Unordered: paths("tags")}),
		} {
			b.Run(name+rules+"/canon", func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(old)))
				for b.Loop() {
					h.Canon(s, old)
				}
			})
			b.Run(name+rules+"/diff", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Diff(old, now); err != nil {
						b.Fatal(err)
					}
				}
			})
			buf := make([]byte, 0, len(old))
			b.Run(name+rules+"/project", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.Project(buf, old)
				}
			})
		}
		c, err := ParseCondition(`status == "active"`)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/condition", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Match(old)
			}
		})
	}
}

func BenchmarkValid(b *testing.B) {
	for _, c := range []struct {
		name   string
		record func(int) string
	}{{"small", smallRecord}, {"large", largeRecord}} {
		doc := listing(1000, c.record)
		b.Run(c.name+"/gjson", func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				gjson.ValidBytes(doc)
			}
		})
		b.Run(c.name+"/own", func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			var s scanner
			for b.Loop() {
				if s.value(doc, 0, 0) < 0 {
					b.Fatal(s)
				}
			}
		})
	}
}
