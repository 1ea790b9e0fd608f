package outbound

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// timedBody keeps the time limit of a request running until its body is closed.
type timedBody struct {
	io.ReadCloser

	ctx    context.Context //nolint:containedctx // the body is a part of the request that the context belongs to
	cancel context.CancelFunc
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = causeOf(b.ctx, err)
	}
	return n, err
}

func (b *timedBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

// causeOf replaces an error that a context ended by why it ended.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// decoded undoes a content coding that the transport left in place.
func decoded(resp *http.Response) (io.ReadCloser, error) {
	switch coding := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))); coding {
	case "", "identity":
		return resp.Body, nil
	case "gzip", "x-gzip":
		return &gzipBody{body: resp.Body}, nil
	default:
		return nil, fmt.Errorf("the answer is encoded as %q; only gzip can be read", coding)
	}
}

// gzipBody decompresses; it starts with the first read, so that an empty body of a HEAD or 304 is no error.
type gzipBody struct {
	body io.ReadCloser
	zip  *gzip.Reader
}

func (b *gzipBody) Read(p []byte) (int, error) {
	if b.zip == nil {
		zip, err := gzip.NewReader(b.body)
		if err != nil {
			return 0, err
		}
		b.zip = zip
	}
	return b.zip.Read(p)
}

func (b *gzipBody) Close() error { return b.body.Close() }

// limitedBody ends with an error once more than limit bytes came. Truncating instead would look like a shorter listing.
type limitedBody struct {
	body    io.ReadCloser
	left    int64
	limit   int64 // 0: none
	explain func(error) error
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.limit > 0 {
		if b.left < 0 {
			return 0, &Error{Reason: "too_large", Message: "the answer is larger than " + sizeText(b.limit) + " (response.max_body)"}
		}
		p = p[:min(int64(len(p)), b.left+1)]
	}
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if b.limit > 0 && b.left < 0 {
		return n + int(b.left), nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.explain(err)
	}
	return n, err
}

func (b *limitedBody) Close() error { return b.body.Close() }

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
