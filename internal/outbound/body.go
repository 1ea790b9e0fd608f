package outbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// answerBody is the body of an answer: decompressed, bounded in time and size. The turn at its host is given back when it
// has ended or is closed.
type answerBody struct {
	io.Reader // decompressed

	raw    io.Closer
	ctx    context.Context //nolint:containedctx // the body is a part of the request that the context belongs to
	cancel context.CancelFunc
	leave  func()
}

// opened makes the body of an answer readable.
func opened(ctx context.Context, cancel context.CancelFunc, resp *http.Response, most int64, leave func()) {
	b := &answerBody{Reader: resp.Body, raw: resp.Body, ctx: ctx, cancel: cancel, leave: leave}
	coding := resp.Header.Get("Content-Encoding")
	if resp.ContentLength == 0 || resp.Body == http.NoBody {
		coding = "" // nothing is compressed as nothing
	}
	b.Reader = decompress(resp.Body, coding, most)
	if coding != "" {
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		resp.ContentLength, resp.Uncompressed = -1, true
	}
	resp.Body = b
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		b.leave()
		if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = causeOf(b.ctx, err)
		}
	}
	return n, err
}

func (b *answerBody) Close() error {
	err := b.raw.Close()
	b.cancel()
	b.leave()
	return err
}

// head reads the beginning of the body without taking it away.
func (b *answerBody) head(most int64) []byte {
	text, err := io.ReadAll(io.LimitReader(b.Reader, most))
	rest := b.Reader
	if err != nil {
		rest = failing{err}
	}
	b.Reader = io.MultiReader(bytes.NewReader(text), rest)
	return text
}

// causeOf replaces an error that a context ended by why it ended.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// limit gives a reader that fails once more than most bytes came; 0 is no limit. Ending instead would look like a shorter
// listing.
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
		return 0, &Error{Reason: "too_large", Message: "the answer is larger than " + sizeText(l.most) + " (response.max_body)"}
	}
	p = p[:min(int64(len(p)), l.left+1)] // one more shows whether there is more
	n, err := l.src.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return n - 1, nil
	}
	return n, err
}

// sizeText gives a number of bytes as the configuration writes it, or rounded.
func sizeText(n int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.bytes && n%u.bytes == 0 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}
