package poller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// fault is why a poll failed, as a person reads it.
type fault struct {
	message string
	hint    string // the next step; may be empty
	cause   error
}

func (f *fault) Error() string { return f.message }
func (f *fault) Unwrap() error { return f.cause }

func newFault(hint, format string, args ...any) *fault {
	return &fault{message: fmt.Sprintf(format, args...), hint: hint}
}

var errDeadline = errors.New("the poll took longer than its deadline")

const nothingChanged = "nothing was changed; this poll does not count as an empty list"

// seen is what is remembered of an answer for messages.
type seen struct {
	page   int
	status int
	kind   string // content type
	bytes  int64
	head   []byte // its first bytes
}

func (s seen) String() string {
	text := fmt.Sprintf("%d, %s", s.status, sizeForPeople(s.bytes))
	if s.kind != "" {
		text += ", " + s.kind
	}
	return text
}

// pageForPeople is the beginning of a hint.
const pageForPeople = "a login or error page; the credentials may have expired, or url leads to a page for people; "

// explain turns an error of reading a page into one for people.
func explain(err error, s seen) error {
	if f := explainFormat(err, s); f != nil {
		return f
	}
	if syntax, ok := errors.AsType[*differ.SyntaxError](err); ok {
		return explainSyntax(syntax, s)
	}
	if missing, ok := errors.AsType[*differ.NotFoundError](err); ok {
		hint := "if it leaves out an empty list, say by what to know that with response.empty; " + nothingChanged
		if len(missing.Has) > 0 {
			hint = "the answer has: " + strings.Join(missing.Has, ", ") + "; " + hint
		}
		f := newFault(hint, "records path %q not found in the answer of page %d (%s)", missing.Path, s.page, s)
		f.cause = err
		return f
	}
	if misfit, ok := errors.AsType[*differ.NotListError](err); ok {
		wanted := "a list"
		switch misfit.Wanted {
		case differ.Object:
			wanted = "an object of records"
		case differ.Missing:
			wanted = "a record"
		case differ.Null, differ.Bool, differ.Number, differ.String, differ.Array:
		}
		f := newFault(nothingChanged, "records path %q is %s in the answer of page %d, not %s (%s)", misfit.Path, misfit.Kind, s.page, wanted, s)
		if misfit.Kind == differ.Null {
			f.hint = "where null stands for an empty list, response.empty has to say by what to know that; " + nothingChanged
		}
		f.cause = err
		return f
	}
	if large, ok := errors.AsType[*differ.TooLargeError](err); ok {
		f := newFault("such a record cannot be followed; select less with records or ask the server for less", "page %d: %s", s.page, large)
		f.cause = err
		return f
	}
	if broken, ok := errors.AsType[*outbound.Error](err); ok {
		return &fault{message: fmt.Sprintf("page %d: %s (%s)", s.page, broken.Message, s), hint: hintOf(broken, s), cause: err}
	}
	return err
}

func hintOf(e *outbound.Error, s seen) string {
	switch e.Reason {
	case "too_large":
		return "raise response.max_body if the answer is meant to be so large"
	case "scan_too_large":
		return "raise response.max_scan if the list is meant to be so large"
	case "cut":
		return fmt.Sprintf("%d bytes came; %s", s.bytes, nothingChanged)
	}
	return nothingChanged
}

func explainSyntax(e *differ.SyntaxError, s seen) error {
	head := bytes.TrimPrefix(bytes.TrimSpace(s.head), []byte("\xef\xbb\xbf"))
	f := &fault{hint: nothingChanged, cause: e}
	switch {
	case len(head) == 0:
		f.message = fmt.Sprintf("expected JSON, got an empty answer on page %d (%s)", s.page, s)
	case head[0] == '<':
		what := "XML"
		lower := strings.ToLower(string(head))
		if strings.Contains(s.kind, "html") || strings.Contains(lower, "<html") || strings.Contains(lower, "<!doctype html") {
			what = "HTML"
		}
		f.message = fmt.Sprintf("expected JSON, got %s: %q (%d, %s)", what, gist(head), s.status, s.kind)
		if what == "HTML" {
			f.hint = pageForPeople + nothingChanged
		}
	case e.Truncated:
		f.message = fmt.Sprintf("the answer of page %d breaks off after %d bytes: it is truncated JSON (%s)", s.page, e.Offset, s)
	case e.Offset == 0:
		f.message = fmt.Sprintf("expected JSON, got %q (%s)", gist(head), s)
	default:
		f.message = fmt.Sprintf("page %d: %s (%s)", s.page, e, s)
	}
	return f
}

// gist gives what a person would read first in a text: the title of a page, or its first words.
func gist(head []byte) string {
	text := string(head)
	lower := strings.ToLower(text)
	if i := strings.Index(lower, "<title"); i >= 0 {
		if open := strings.IndexByte(text[i:], '>'); open >= 0 {
			title, _, _ := strings.Cut(text[i+open+1:], "<")
			if title = strings.Join(strings.Fields(html.UnescapeString(title)), " "); title != "" {
				return clip(title)
			}
		}
	}
	return clip(strings.Join(strings.Fields(strings.ToValidUTF8(text, "�")), " "))
}

func clip(text string) string { return clipped(text, 120) }

func clipped(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// explainStatus says what an answer with an unusable status means.
func explainStatus(s seen, location string) error {
	f := newFault(nothingChanged, "page %d: the server answered %d", s.page, s.status)
	if text := gist(s.head); text != "" {
		f.message += fmt.Sprintf(": %q", text)
	}
	switch {
	case s.status == 204:
		f.message = fmt.Sprintf("page %d: the server answered 204, without a list", s.page)
	case s.status == 206:
		f.message = fmt.Sprintf("page %d: the server answered 206, only a part of the list", s.page)
	case s.status == 304:
		f.message = "the server answered 304 (not modified) to a request without conditions"
		f.hint = "a cache on the way is broken; " + nothingChanged
	case s.status >= 300 && s.status < 400 && location != "":
		f.message = fmt.Sprintf("page %d: the server answered %d and redirects to %s, which is not followed", s.page, s.status, location)
		f.hint = "credentials stay with the origin: set url to the new address, or list the host in allowed_hosts"
	case s.status == 401, s.status == 403:
		f.hint = "check auth and headers: the credentials are missing, wrong or expired; " + nothingChanged
	case s.status == 404, s.status == 410:
		f.hint = "check url; " + nothingChanged
	case s.status == 429:
		f.hint = "the server limits requests: poll less often, or ask for larger pages; " + nothingChanged
	}
	return f
}

// sizeForPeople gives "31 B", "48.1 kB", "2.0 MB".
func sizeForPeople(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// judge says what an error makes of the poll.
func (p *Poller) judge(err error, r *Result) {
	if wait, ok := errors.AsType[*outbound.DeferredError](err); ok {
		r.Verdict, r.Until, r.Message = Deferred, wait.Until, wait.Error()
		if r.Pages > 0 {
			r.Hint = "a poll begins anew after that: if the list needs more requests than the host allows, ask for larger pages, or raise retry.max_wait and deadline"
		}
		return
	}
	if errors.Is(err, errNoPartitions) {
		r.again = time.Minute
		r.Verdict, r.Message, r.Hint = Deferred, fmt.Sprintf("source %s, which names the partitions, has no baseline yet", p.source.Partitions.Source), "see: deltahook status"
		return
	}
	r.Verdict = Failed
	r.Message = p.opts.Secrets.Redact(err.Error())
	if f, ok := errors.AsType[*fault](err); ok {
		r.Hint = p.opts.Secrets.Redact(f.hint)
	} else {
		r.Hint = setting.Hint(err)
	}
	if errors.Is(err, errDeadline) {
		r.Message = fmt.Sprintf("the poll took longer than its deadline of %s (%d pages, %d records so far)", p.source.Deadline, r.Pages, r.Records)
		r.Hint = "raise deadline, ask for larger pages, or poll a part of the list; nothing was changed"
	} else if errors.Is(err, context.Canceled) {
		r.Message = "the poll was interrupted; nothing was changed"
	}
	r.Err = &fault{message: r.Message, hint: r.Hint, cause: err}
}
