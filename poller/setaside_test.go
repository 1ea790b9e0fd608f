package poller

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// A list is read while its details are asked for; where a host is asked one thing at a time, the list must not stand in their way.
func TestDetailsOfALongPageAreFetchedFromAHostThatIsAskedOneThingAtATime(t *testing.T) {
	g := newCatalogue()
	for i := range 700 {
		g.add(strconv.Itoa(i), 1)
		g.listed.set(strconv.Itoa(i), fmt.Sprintf(`{"id":"%d","pad":%q}`, i, strings.Repeat("x", 5000)))
	}
	r := g.detailed(t, func(s *Source) { s.Detail.Max = 1000 })
	r.opts.Hosts = []Host{{Name: "127.0.0.1", Concurrency: 1}}
	r.restart()
	if got := r.want(Complete); got.Records != 700 || got.Requests != 701 {
		t.Errorf("%d records, %d requests: %s", got.Records, got.Requests, got.Message)
	}
}

func TestABodyThatIsSetAsideIsTheSameBody(t *testing.T) {
	broken := errors.New("connection reset")
	for _, size := range []int{0, 1, 1 << 20, 1<<20 + 1, 3 << 20} {
		whole := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		for _, end := range []error{nil, broken} {
			src := io.Reader(bytes.NewReader(whole))
			if end != nil {
				src = io.MultiReader(src, iotest.ErrReader(end))
			}
			a := &aside{Reader: src, dir: t.TempDir()}
			first := make([]byte, min(5, size))
			if _, err := io.ReadFull(a, first); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := a.setAside(); err != nil {
					t.Fatal(err)
				}
			}
			rest, err := io.ReadAll(a)
			if !errors.Is(err, end) || !bytes.Equal(slices.Concat(first, rest), whole) {
				t.Errorf("%d bytes: %d came, %v; want %v", size, len(first)+len(rest), err, end)
			}
			a.close()
		}
	}
	if err := (&aside{Reader: strings.NewReader(strings.Repeat("x", 2<<20)), dir: "/nowhere"}).setAside(); err == nil {
		t.Error("there is a file in a folder that does not exist")
	}
}
