package decode

import "io"

// window is the part of a source that is looked at: what was read and not yet given up.
type window struct {
	src  io.Reader
	buf  []byte
	pos  int   // of the first byte that is still needed
	base int64 // offset of buf[0] in the source
	line int   // of buf[pos], from 1
	most int   // bytes that may be needed at once
	eof  bool
	what string // name of what is needed at once
}

func newWindow(src io.Reader, most int, what string) window {
	return window{src: src, most: most, what: what, line: 1}
}

// rest is what can be looked at.
func (w *window) rest() []byte { return w.buf[w.pos:] }

// offset is that of the first byte of rest.
func (w *window) offset() int64 { return w.base + int64(w.pos) }

// fits says whether so many bytes may be needed at once.
func (w *window) fits(n int) error {
	if n > w.most {
		return &TooLargeError{What: w.what, Limit: int64(w.most), Line: w.line}
	}
	return nil
}

// more reads on. It returns an error of the source, or when too much is needed at once; at the end it sets eof.
func (w *window) more() error {
	rest := w.rest()
	if err := w.fits(len(rest)); err != nil {
		return err
	}
	const size = 64 << 10
	// Growing when half of it is needed keeps the cost of looking at the same bytes again at twice their number.
	if len(rest) > cap(w.buf)/2 || cap(w.buf) == 0 {
		w.buf = append(make([]byte, 0, max(size, 2*cap(w.buf))), rest...)
	} else {
		w.buf = w.buf[:copy(w.buf, rest)]
	}
	w.base += int64(w.pos)
	w.pos = 0
	return w.fill()
}

// fill reads until the buffer is full.
func (w *window) fill() error {
	const patience = 100 // as in bufio
	for idle := 0; len(w.buf) < cap(w.buf); {
		n, err := w.src.Read(w.buf[len(w.buf):cap(w.buf)])
		w.buf = w.buf[:len(w.buf)+n]
		if idle++; n > 0 {
			idle = 0
		}
		switch {
		case err == io.EOF:
			w.eof = true
			return nil
		case err != nil:
			return err
		case idle >= patience:
			return io.ErrNoProgress
		}
	}
	return nil
}
