package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration file. Its texts hold no secret.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1, in characters
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // the next step; may have several lines
	Warning bool   `json:"warning,omitempty"`
	Excerpt string `json:"excerpt"` // the source line with its number, and a line that marks the place
}

// String gives the whole report of the problem, as several lines without a line end.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Message + "\n" + p.Excerpt)
	if p.Hint != "" {
		b.WriteString("\n  " + strings.ReplaceAll(p.Hint, "\n", "\n  "))
	}
	return b.String()
}

// Report is all that was found in a configuration, in the order of files, lines and columns.
type Report struct {
	Problems []Problem
	// Draft is the configuration as far as it could be read. It must not run, but tells where a daemon can be found.
	Draft *Config
}

// Errors counts the problems that keep the configuration from running.
func (r *Report) Errors() int { return len(r.Problems) - r.Warnings() }

// Warnings counts the others.
func (r *Report) Warnings() int {
	n := 0
	for _, p := range r.Problems {
		if p.Warning {
			n++
		}
	}
	return n
}

// OK says whether the configuration can run.
func (r *Report) OK() bool { return r.Errors() == 0 }

// Summary counts: "1 problem, 0 warnings".
func (r *Report) Summary() string {
	return count(r.Errors(), "problem") + ", " + count(r.Warnings(), "warning")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// String gives all problems, an empty line between them; empty when there are none.
func (r *Report) String() string {
	texts := make([]string, len(r.Problems))
	for i, p := range r.Problems {
		texts[i] = p.String() + "\n"
	}
	return strings.Join(texts, "\n")
}

// Err gives the report as an error when the configuration cannot run, and nil otherwise.
func (r *Report) Err() error {
	if r.OK() {
		return nil
	}
	return &InvalidError{Report: r}
}

// InvalidError says that a configuration cannot run.
type InvalidError struct{ Report *Report }

// Error gives all problems and their number; what keeps the configuration from running comes before the warnings.
func (e *InvalidError) Error() string {
	worst := Report{Problems: slices.Clone(e.Report.Problems)}
	slices.SortStableFunc(worst.Problems, func(a, b Problem) int { return cmp.Compare(severity(a), severity(b)) })
	return worst.String() + worst.Summary()
}

func severity(p Problem) int {
	if p.Warning {
		return 1
	}
	return 0
}

// finding is a problem before it is rendered.
type finding struct {
	doc     *document
	span    span
	message string
	hint    string
	warning bool
}

// findings collects what is found in all files.
type findings struct{ list []finding }

func (f *findings) add(doc *document, at span, message, hint string) {
	f.list = append(f.list, finding{doc: doc, span: at, message: message, hint: hint})
}

// report renders what was found, each thing once. Redact takes secrets out of any text.
func (f *findings) report(redact func(string) string) *Report {
	slices.SortStableFunc(f.list, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.doc.order, b.doc.order), cmp.Compare(a.span.start, b.span.start))
	})
	r := &Report{}
	for _, q := range f.list {
		line, column := q.doc.position(q.span.start)
		p := Problem{
			File: q.doc.file, Line: line, Column: column, Warning: q.warning,
			Message: redact(scrubText(clean(q.message))), Hint: redact(scrubText(clean(q.hint))),
			Excerpt: redact(q.doc.excerpt(line, q.span)),
		}
		if !slices.Contains(r.Problems, p) {
			r.Problems = append(r.Problems, p)
		}
	}
	return r
}
