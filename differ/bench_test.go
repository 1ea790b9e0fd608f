package differ

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

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

func listing(records int, record func(int) string) []byte {
	var b bytes.Buffer
	b.WriteString(`{"data":{"items":[`)
	for n := range records {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(record(n))
	}
	b.WriteString(`]},"next":null}`)
	return b.Bytes()
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

func BenchmarkPoll(b *testing.B) {
	for _, c := range []struct {
		name   string
		record func(int) string
	}{{"small", smallRecord}, {"large", largeRecord}} {
		doc := listing(1000, c.record)
		text := string(doc)
		b.Run(c.name+"/bound", func(b *testing.B) {
			for b.Loop() {
				if !gjson.ValidBytes(doc) {
					b.Fatal()
				}
				n := 0
				gjson.Get(text, "data.items").ForEach(func(_, v gjson.Result) bool { n += len(v.Get("id").Raw); return true })
			}
		})
		spec := Spec{Records: MustPath("data.items"), Key: Paths{MustPath("id")}}
		rd := NewReader(nil, Options{Spec: spec})
		h := NewHasher(Seed{})
		x := NewIndex(1000)
		var key []byte
		src := bytes.NewReader(doc)
		rd.Reset(src)
		for {
			rec, err := rd.Next()
			if err != nil {
				break
			}
			key, _ = spec.AppendKey(key[:0], rec)
			x.Set(h.Key(key), Print{Raw: h.Raw(rec.Raw)})
		}
		b.Run(c.name+"/extract", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				src.Reset(doc)
				rd.Reset(src)
				for {
					if _, err := rd.Next(); err != nil {
						break
					}
				}
			}
		})
		b.Run(c.name+"/full", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				src.Reset(doc)
				rd.Reset(src)
				x.Begin()
				for {
					rec, err := rd.Next()
					if err != nil {
						break
					}
					key, _ = spec.AppendKey(key[:0], rec)
					if s, _ := x.See(h.Key(key), h.Raw(rec.Raw)); s != Same {
						b.Fatal(s)
					}
				}
			}
		})
	}
}
