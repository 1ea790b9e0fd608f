package differ

import (
	"bytes"
	"slices"
)

// Project gives the record, a valid JSON text, after Fields: the kept members byte for byte and in order, built in
// dst[:0]. Without fields it is the record itself. Containers on the way to a field stand only where they hold one. In an
// array that some path enters by an index, the elements that are not selected and stand before a selected one are null, so that
// indexes stay what they are. Projecting twice changes nothing.
func (s *Shape) Project(dst, record []byte) []byte {
	if !s.selects {
		return record
	}
	p := projector{src: record, out: dst[:0]}
	i := space(record, 0)
	if i >= len(record) || record[i] != '{' && record[i] != '[' {
		return record // a scalar has no fields
	}
	if _, kept := p.value(i, s.rules); !kept {
		p.out = append(p.out, record[i], record[i]+2) // {} or []
	}
	return p.out
}

type projector struct{ src, out []byte }

// value copies what is selected of the value at i. When that is nothing, out is as before.
func (p *projector) value(i int, r *rule) (end int, kept bool) {
	switch {
	case i < len(p.src) && p.src[i] == '{':
		return p.members(i+1, r)
	case i < len(p.src) && p.src[i] == '[':
		return p.elements(i+1, r)
	}
	return skip(p.src, i), false
}

// child copies what is selected of the value at i, with what stands before it from start on.
func (p *projector) child(start, i int, r *rule) (end int, kept bool) {
	switch {
	case r == nil || !r.kept && !r.selects:
		return skip(p.src, i), false
	case r.kept:
		end = skip(p.src, i)
		p.out = append(p.out, p.src[start:end]...)
		return end, true
	}
	mark := len(p.out)
	p.out = append(p.out, p.src[start:i]...)
	if end, kept = p.value(i, r); !kept {
		p.out = p.out[:mark]
	}
	return end, kept
}

func (p *projector) members(i int, r *rule) (end int, some bool) {
	b := p.src
	mark := len(p.out)
	p.out = append(p.out, '{')
	for i = space(b, i); i < len(b) && b[i] == '"'; i = next(b, i) {
		quote := skipString(b, i+1)
		if quote < i+2 {
			break // not JSON
		}
		before := len(p.out)
		if some {
			p.out = append(p.out, ',')
		}
		var kept bool
		if i, kept = p.child(i, afterColon(b, quote), memberRule(r, b[i+1:quote-1])); !kept {
			p.out = p.out[:before]
		}
		some = some || kept
	}
	return min(i+1, len(b)), p.close(mark, '}', some)
}

func (p *projector) elements(i int, r *rule) (end int, some bool) {
	b := p.src
	mark, gaps := len(p.out), 0
	p.out = append(p.out, '[')
	i = space(b, i)
	for n := 0; i < len(b) && b[i] != ']'; n++ {
		before := len(p.out)
		if some {
			p.out = append(p.out, ',')
		}
		begin := len(p.out)
		end, kept := p.child(i, i, r.item(n))
		switch i = next(b, end); {
		case kept:
			p.out = slices.Insert(p.out, begin, bytes.Repeat([]byte("null,"), gaps)...)
			some, gaps = true, 0
		case len(r.items) > 0:
			gaps++
			fallthrough
		default:
			p.out = p.out[:before]
		}
	}
	return min(i+1, len(b)), p.close(mark, ']', some)
}

// close ends a container that was opened at mark, or takes it back.
func (p *projector) close(mark int, bracket byte, some bool) bool {
	if !some {
		p.out = p.out[:mark]
		return false
	}
	p.out = append(p.out, bracket)
	return true
}
