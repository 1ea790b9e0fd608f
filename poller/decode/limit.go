package decode

import "io"

// limit gives a reader that fails once more than most bytes came; 0 is no limit. It never just ends, since that would look
// like a shorter listing.
func limit(r io.Reader, most int64) io.Reader {
	if most <= 0 {
		return r
	}
	return &limited{src: r, left: most, most: most}
}

type limited struct {
	src  io.Reader
	left int64
	most int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, &TooLargeError{What: "answer", Limit: l.most}
	}
	p = p[:min(int64(len(p)), l.left+1)] // one more shows whether there is more
	n, err := l.src.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return n - 1, nil
	}
	return n, err
}
