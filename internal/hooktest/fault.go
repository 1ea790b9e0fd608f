package hooktest

import (
	"compress/gzip"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Status answers with a status and nothing else.
func Status(code int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.WriteHeader(code)
		return true
	}
}

// Answer answers with a status, headers in pairs of name and value, and a body.
func Answer(code int, body string, header ...string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
		return true
	}
}

// RetryAfter answers with a status and asks to wait, in whatever form value has.
func RetryAfter(code int, value string) Fault { return Answer(code, "", "Retry-After", value) }

// Redirect answers with a redirect.
func Redirect(code int, location string) Fault { return Answer(code, "", "Location", location) }

// Flaky meets that share of the requests with one of the faults, by chance.
func Flaky(share float64, seed uint64, faults ...Fault) Fault {
	var mu sync.Mutex
	chance := rand.New(rand.NewPCG(seed, seed))
	return func(w http.ResponseWriter, r *http.Request, n int) bool {
		mu.Lock()
		hit, which := chance.Float64() < share, chance.IntN(len(faults))
		mu.Unlock()
		return hit && faults[which](w, r, n)
	}
}

// First meets the first n requests with the fault.
func First(n int, f Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request, at int) bool { return at <= n && f(w, r, at) }
}

// Informational sends n interim answers (1xx) and leaves the final one to whatever follows.
func Informational(n int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		for range n {
			w.WriteHeader(http.StatusEarlyHints)
		}
		return false
	}
}

// Hang does not answer until the sender goes away.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		<-r.Context().Done()
		return true
	}
}

// Drip answers 200 and then sends one byte at a time, until the sender goes away.
func Drip(code int, every time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ int) bool {
		w.WriteHeader(code)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			_, _ = w.Write([]byte{'.'})
			if http.NewResponseController(w).Flush() != nil {
				return true
			}
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return true
			}
		}
	}
}

// Endless answers with a body that does not end, until the sender goes away.
func Endless(code int) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ int) bool {
		w.WriteHeader(code)
		chunk := make([]byte, 32<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				break
			}
		}
		return true
	}
}

// GzipBomb answers with a small body that says it is a large one, compressed.
func GzipBomb(code int, size int64) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(code)
		zip := gzip.NewWriter(w)
		_, _ = io.CopyN(zip, zeros{}, size)
		_ = zip.Close()
		return true
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
