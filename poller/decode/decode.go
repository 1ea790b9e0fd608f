package decode

import (
	"fmt"
	"io"
	"slices"
)

// Options say how an answer is written.
type Options struct {
	Format string // "json" (or empty), "ndjson", "xml", "csv"

	// Charset is the configured one. It wins over what the answer declares; an answer that declares nothing is UTF-8.
	Charset     string
	ContentType string // the header; only its charset is looked at

	// Endless says that nothing proves the end of the answer, so that it may be cut off anywhere. A last row of CSV without a line end
	// is an error then.
	Endless bool

	MaxBuffer int // bytes of what has to be held at once: a record, and of XML all that is not in the list; 0: 16 MiB

	// Records is the path of the list in the document that comes out. XML needs it: the list on it is always an array, and its elements
	// pass as they come. A path that has more than names in it ("feed.entry.#.link") counts up to there. Leave it empty when
	// the records are no array: for one single record, or for the members of an object.
	Records string
	// ForceArray are paths of other XML elements that are always arrays, "feed.entry.link".
	ForceArray []string
	CSV        CSV
}

// CSV says what a table looks like. The zero value fits most.
type CSV struct {
	Delimiter string   // one punctuation character or a tab; empty or "auto": found in the header row, one of , ; | and tab
	Columns   []string // names of the columns of a table without a header row
	Require   []string // columns without which the answer is not the table that was asked for: those of the key
}

const (
	defaultBuffer = 16 << 20
	chunkSize     = 32 << 10
)

// Validate says what is wrong with the options, apart from the headers.
func (o Options) Validate() error {
	if !slices.Contains([]string{"", "json", "ndjson", "xml", "csv"}, o.Format) {
		return fmt.Errorf("format %q is unknown: it is json, ndjson, xml or csv", o.Format)
	}
	if _, err := lookupCharset(o.Charset); err != nil {
		return fmt.Errorf("charset %q is unknown: use a name like iso-8859-1, windows-1252 or shift_jis", o.Charset)
	}
	if err := o.CSV.validate(); err != nil {
		return err
	}
	list := listNames(o.Records)
	for _, path := range o.ForceArray {
		names, rest := splitPath(path)
		if rest != "" || len(names) == 0 {
			return fmt.Errorf("force_array path %q is not made of element names joined by dots", path)
		}
		if len(names) < len(list) && slices.Equal(names, list[:len(names)]) {
			return fmt.Errorf("force_array path %q is on the way to the records, where each element is one object", path)
		}
	}
	return nil
}

// Body gives the decompressed answer r as one JSON document in UTF-8. Nothing is read before the first Read. A JSON answer is not checked,
// only converted; the other formats are.
//
// The error of Body is that of Validate. Read returns *CharsetError, *SyntaxError,
// *TooLargeError and *FaultError, and passes on errors of r as they are. What was read before an error is the beginning of a
// document that has no end. The reader needs not be closed.
func Body(r io.Reader, o Options) (io.Reader, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.MaxBuffer <= 0 {
		o.MaxBuffer = defaultBuffer
	}
	text := newText(r, o)
	switch o.Format {
	case "ndjson":
		return &chunks{src: newLines(text, o)}, nil
	case "xml":
		return &chunks{src: newTree(text, o)}, nil
	case "csv":
		return &chunks{src: newTable(text, o)}, nil
	}
	return text, nil
}

// producer makes a document piece by piece. A piece is valid until the next call, and may come with the error that ends all;
// io.EOF is the good end.
type producer interface {
	next() ([]byte, error)
}

// chunks reads what a producer makes.
type chunks struct {
	src   producer
	piece []byte
	err   error
}

func (c *chunks) Read(p []byte) (int, error) {
	for len(c.piece) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		if len(p) == 0 {
			return 0, nil
		}
		c.piece, c.err = c.src.next()
	}
	n := copy(p, c.piece)
	c.piece = c.piece[n:]
	return n, nil
}
