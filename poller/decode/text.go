package decode

import (
	"io"

	"golang.org/x/text/encoding"
)

// text reads an answer as UTF-8 without a byte order mark. UTF-8 itself passes as it is, without a copy. What a charset has no
// character for becomes U+FFFD.
type text struct {
	src        io.Reader
	configured string
	declared   string // by the Content-Type
	xml        bool   // there may be an XML declaration

	begun bool
	head  []byte // was looked at and is not handed out yet
	err   error  // that ended src while it was looked at
	r     io.Reader
}

func newText(src io.Reader, o Options) *text {
	return &text{src: src, configured: o.Charset, declared: charsetOfType(o.ContentType), xml: o.Format == "xml"}
}

func (t *text) Read(p []byte) (int, error) {
	if !t.begun {
		t.begun = true
		t.begin()
	}
	return t.r.Read(p)
}

// begin finds out the charset.
func (t *text) begin() {
	const enough = 3 // for a byte order mark
	for len(t.head) < enough && t.err == nil {
		t.look()
	}
	e, err := t.encoding()
	switch {
	case err != nil:
		t.r = failing{err}
	case e != nil:
		t.r = e.NewDecoder().Reader(&replay{head: t.head, err: t.err, src: t.src})
	default:
		t.r = &replay{head: t.head, err: t.err, src: t.src}
	}
}

// look reads a little more into head.
func (t *text) look() {
	const (
		size     = 1 << 10
		patience = 100 // as in bufio
	)
	b := make([]byte, size)
	for range patience {
		n, err := t.src.Read(b)
		t.head = append(t.head, b[:n]...)
		if t.err = err; n > 0 || err != nil {
			return
		}
	}
	t.err = io.ErrNoProgress
}

// encoding decides between what is configured, marked and declared, in this order (RFC 7303, 3), and takes the mark off.
func (t *text) encoding() (encoding.Encoding, error) {
	mark, size := byteOrderMark(t.head)
	t.head = t.head[size:]
	switch {
	case t.configured != "" && mark != "" && !agrees(t.configured, mark):
		return nil, &CharsetError{Charset: t.configured, Mark: mark}
	case mark != "":
		return encodingOfMark(mark), nil
	case t.configured != "":
		return lookupCharset(t.configured)
	case t.declared != "":
		return known(t.declared, "the Content-Type")
	case t.xml:
		return known(t.declaration(), "the XML declaration")
	}
	return nil, nil //nolint:nilnil // UTF-8
}

func known(charset, by string) (encoding.Encoding, error) {
	e, err := lookupCharset(charset)
	if err != nil {
		return nil, &CharsetError{Charset: charset, Declared: by}
	}
	return e, nil
}

// declaration gives the charset of the XML declaration, which must begin the answer.
func (t *text) declaration() string {
	const most = 4 << 10
	for {
		charset, done := charsetOfXML(t.head)
		if done || t.err != nil || len(t.head) > most {
			return charset
		}
		t.look()
	}
}

// replay reads head, and then src or what it has ended with.
type replay struct {
	head []byte
	err  error
	src  io.Reader
}

func (r *replay) Read(p []byte) (int, error) {
	switch {
	case len(r.head) > 0:
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	case r.err != nil:
		return 0, r.err
	}
	return r.src.Read(p)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
