package differ

import "io"

// input is the buffer of a Reader: what was read of the source and not yet given up.
type input struct {
	src  io.Reader
	size int // bytes of the buffer to begin with
	buf  []byte
	pos  int   // first byte that is still needed
	base int64 // offset of buf[0] in the source
	eof  bool  // the source has ended, with err unless that is nil
	err  error
	lent bool // buf is somebody else's memory
}

// reset gives an input for another source with the same memory, unless that has grown large.
func (in *input) reset(src io.Reader) input {
	if in.lent || cap(in.buf) > keptMemory {
		return input{src: src, size: in.size}
	}
	return input{src: src, size: in.size, buf: in.buf[:0]}
}

// rest is what was read and not yet consumed.
func (in *input) rest() []byte { return in.buf[in.pos:] }

// fill gives up what was consumed and reads until the buffer is full or the source ends. The buffer doubles when what is
// needed fills more than half of it, so that a part which is read again and again costs no more than twice its length.
func (in *input) fill() {
	rest := in.rest()
	switch size := cap(in.buf); {
	case size == 0:
		in.buf = make([]byte, 0, in.size)
	case len(rest) > size/2, size < bufferSize && len(in.buf) > 0: // the latter: the list is not so short
		in.buf = append(make([]byte, 0, max(2*size, bufferSize)), rest...)
	default:
		in.buf = in.buf[:copy(in.buf, rest)]
	}
	in.base += int64(in.pos)
	in.pos = 0
	in.read()
}

func (in *input) read() {
	const patience = 100 // as in bufio
	for idle := 0; len(in.buf) < cap(in.buf); {
		n, err := in.src.Read(in.buf[len(in.buf):cap(in.buf)])
		in.buf = in.buf[:len(in.buf)+n]
		if idle++; n > 0 {
			idle = 0
		}
		if err == nil && idle >= patience {
			err = io.ErrNoProgress
		}
		if err != nil {
			in.eof = true
			if err != io.EOF {
				in.err = err
			}
			return
		}
	}
}
