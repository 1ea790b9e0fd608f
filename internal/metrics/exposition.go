package metrics

import (
	"strconv"
	"strings"
)

// page writes samples in the text format of Prometheus, version 0.0.4: families one after the other, each with its help and type before
// its samples. See https://prometheus.io/docs/instrumenting/exposition_formats/.
type page struct {
	buf  []byte
	name string // of the family
}

// The kinds of families.
const (
	counter   = "counter"
	gauge     = "gauge"
	histogram = "histogram"
	summary   = "summary"
)

// family begins a family. Its samples follow at once.
func (p *page) family(name, kind, help string) {
	p.name = name
	p.buf = append(p.buf, "# HELP "...)
	p.buf = append(p.buf, name...)
	p.buf = append(p.buf, ' ')
	p.buf = append(p.buf, help...)
	p.buf = append(p.buf, "\n# TYPE "...)
	p.buf = append(p.buf, name...)
	p.buf = append(p.buf, ' ')
	p.buf = append(p.buf, kind...)
	p.buf = append(p.buf, '\n')
}

// sample writes one sample of the family; labels are names and values in turn.
func (p *page) sample(value float64, labels ...string) { p.part("", value, labels...) }

// part writes a sample whose name is that of the family with a suffix.
func (p *page) part(suffix string, value float64, labels ...string) {
	p.buf = append(p.buf, p.name...)
	p.buf = append(p.buf, suffix...)
	for i := 0; i+1 < len(labels); i += 2 {
		if i == 0 {
			p.buf = append(p.buf, '{')
		} else {
			p.buf = append(p.buf, ',')
		}
		p.buf = append(p.buf, labels[i]...)
		p.buf = append(p.buf, `="`...)
		p.buf = appendLabel(p.buf, labels[i+1])
		p.buf = append(p.buf, '"')
	}
	if len(labels) > 0 {
		p.buf = append(p.buf, '}')
	}
	p.buf = append(p.buf, ' ')
	p.buf = strconv.AppendFloat(p.buf, value, 'g', -1, 64)
	p.buf = append(p.buf, '\n')
}

// appendLabel escapes what a label's value must not have as it is.
func appendLabel(dst []byte, value string) []byte {
	if !strings.ContainsAny(value, "\\\"\n") {
		return append(dst, value...)
	}
	for i := range len(value) {
		switch c := value[i]; c {
		case '\n':
			dst = append(dst, `\n`...)
		case '\\', '"':
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
