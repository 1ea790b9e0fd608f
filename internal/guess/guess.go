package guess

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller/decode"
)

// Look says what an answer looks like. The error, often with a next step (setting.Hint), says why nothing can be made of it.
func Look(a *Answer, hints Hints) (*Guess, error) {
	g := &Guess{}
	if err := g.format(a); err != nil {
		return nil, err
	}
	document, err := g.document(a)
	if err != nil {
		return nil, err
	}
	root, err := parse(document)
	if err != nil {
		return nil, g.broken(err)
	}
	if hints.Records.IsZero() {
		err = g.locate(root, a)
	} else {
		err = g.given(document, hints)
	}
	if err != nil {
		return nil, err
	}
	g.Feed = in(g.Records.String(), "rss.channel.item feed.entry RDF.item")
	all := fields(g.list.records)
	if g.Key = hints.Key; len(g.Key) == 0 {
		g.identify(all)
	} else {
		g.Single = false
	}
	if len(g.Key) == 0 && !g.Single {
		return nil, &setting.HintedError{Message: "the records have no plain values that could identify them", Hint: "say --key PATH yourself"}
	}
	g.arrays(g.list.records)
	g.changes(all)
	g.paging(root, a)
	return g, nil
}

func (g *Guess) broken(err error) error {
	if errors.Is(err, errDeep) {
		return err
	}
	return &setting.HintedError{Message: fmt.Sprintf("the answer looks like JSON and is none: %v", err), Hint: "look at it with curl: is it cut off, or is there something before it?"}
}

func (g *Guess) options(a *Answer) decode.Options {
	return decode.Options{
		Format: g.Response.Format, Charset: g.Response.Charset, ContentType: a.Header.Get("Content-Type"),
		CSV: decode.CSV{Delimiter: g.Response.Delimiter, Columns: g.Response.Columns},
	}
}

// document gives the answer as JSON in UTF-8.
func (g *Guess) document(a *Answer) ([]byte, error) {
	r, err := decode.Body(bytes.NewReader(a.Body), g.options(a))
	if err != nil {
		return nil, err
	}
	document, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("the answer cannot be read as %s: %w", g.Response.Format, err)
	}
	return bytes.TrimPrefix(document, []byte("\xef\xbb\xbf")), nil
}

// arrays finds elements of XML that come once in some records and repeatedly in others.
func (g *Guess) arrays(records []*node) {
	if g.Response.Format != "xml" || g.Single {
		return
	}
	kinds := map[string][2]bool{} // by path: seen as an array, seen as something else
	var paths []differ.Path
	for _, r := range records {
		for i, name := range r.names {
			path := differ.MemberPath(append(slices.Clone(g.list.names), name)...)
			k, known := kinds[path.String()]
			if !known {
				paths = append(paths, path)
			}
			array := r.kids[i].kind == differ.Array
			kinds[path.String()] = [2]bool{k[0] || array, k[1] || !array}
		}
	}
	for _, p := range paths {
		if k := kinds[p.String()]; k[0] && k[1] {
			g.Response.ForceArray = append(g.Response.ForceArray, p)
		}
	}
	if n := len(g.Response.ForceArray); n > 0 {
		g.note(AboutFormat, fmt.Sprintf("%q is repeated in some records and not in others: it is always a list now", g.Response.ForceArray))
	}
}
