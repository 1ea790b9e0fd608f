package poller

import (
	"errors"
	"strings"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/poller/decode"
)

// decodeOptions say how the answers of a source are written. Their content coding was undone by the client.
func decodeOptions(s *Source, contentType string) decode.Options {
	o := decode.Options{
		Format: s.Response.Format, Charset: s.Response.Charset, ContentType: contentType,
		CSV: decode.CSV{Delimiter: s.Response.Delimiter, Columns: s.Response.Columns},
	}
	for _, p := range s.Key {
		// A table without the key's columns is not the list: an error page in plain text looks like a header row.
		o.CSV.Require = append(o.CSV.Require, strings.ReplaceAll(p.String(), `\`, ""))
	}
	for _, p := range s.Response.ForceArray {
		o.ForceArray = append(o.ForceArray, p.String())
	}
	if !s.Single && !keyedByMember(s) {
		o.Records = s.Records.String()
	}
	return o
}

func keyedByMember(s *Source) bool { return len(s.Key) == 1 && s.Key[0].String() == "@key" }

// inside says what is wrong with an answer that was read: that it says so itself, or that it could not be read.
func (w *walk) inside(err error, what seen) error {
	conf := w.p.source.Response
	if w.emptyBut(err) {
		err = nil
	}
	if conf.Error.IsZero() || !readToItsEnd(err) {
		return explainOrNil(err, what)
	}
	envelope := w.reader.Envelope()
	if len(envelope) == 0 || !conf.Error.Match(envelope) {
		return explainOrNil(err, what)
	}
	text := ""
	if !conf.Message.IsZero() {
		text = strings.Join(strings.Fields(conf.Message.Get(envelope).Text()), " ")
	}
	if text == "" {
		text = string(envelope)
	}
	return newFault("response.error says that this answer is an error; "+nothingChanged,
		"page %d: the server says: %s (%s)", what.page, w.p.gistOf(text), what)
}

// emptyBut says whether an answer without a list, or with null in its place, stands for an empty one, because response.empty
// holds for it.
func (w *walk) emptyBut(err error) bool {
	misfit, null := errors.AsType[*differ.NotListError](err)
	null = null && misfit.Kind == differ.Null
	_, missing := errors.AsType[*differ.NotFoundError](err)
	return (null || missing) && w.p.source.Response.Empty.Match(w.reader.Envelope())
}

// gistOf gives the beginning of what a server says, without secrets.
func (p *Poller) gistOf(text string) string {
	const enough = 4 << 10
	return clip(p.opts.Secrets.RedactHead(text[:min(len(text), enough)]))
}

// readToItsEnd says whether the whole document was seen, with its list or without one.
func readToItsEnd(err error) bool {
	_, missing := errors.AsType[*differ.NotFoundError](err)
	_, misfit := errors.AsType[*differ.NotListError](err)
	return err == nil || missing || misfit
}

func explainOrNil(err error, what seen) error {
	if err == nil {
		return nil
	}
	return explain(err, what)
}

// explainFormat turns an error of decoding into one for people; nil when it is none.
func explainFormat(err error, s seen) error {
	if said, ok := errors.AsType[*decode.FaultError](err); ok {
		f := newFault(nothingChanged, "page %d: %s (%s)", s.page, clipped(said.Error(), 300), s)
		f.cause = err
		return f
	}
	if syntax, ok := errors.AsType[*decode.SyntaxError](err); ok {
		if title, html := decode.LooksLikeHTML(s.head); html {
			f := newFault(pageForPeople+nothingChanged,
				"expected %s, got HTML: %q (%d, %s)", strings.ToUpper(syntax.Format), title, s.status, s.kind)
			f.cause = err
			return f
		}
		f := newFault(nothingChanged, "page %d: %s (%s)", s.page, syntax, s)
		f.cause = err
		return f
	}
	if large, ok := errors.AsType[*decode.TooLargeError](err); ok {
		f := newFault("raise response.max_body if the answer is meant to be so large", "page %d: %s (%s)", s.page, large, s)
		f.cause = err
		return f
	}
	if charset, ok := errors.AsType[*decode.CharsetError](err); ok {
		f := newFault(charset.NextStep(), "page %d: %s (%s)", s.page, charset, s)
		f.cause = err
		return f
	}
	return nil
}
