package daemon

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

// piped accepts one connection, which is in memory: its deadlines go by the time of the test.
type piped struct {
	conns chan net.Conn
	end   chan struct{}
}

func (p *piped) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.end:
		return nil, net.ErrClosed
	}
}

func (p *piped) Close() error   { close(p.end); return nil }
func (p *piped) Addr() net.Addr { return &net.TCPAddr{} }

// ask sends a request to a bounded handler, and gives the answer when its connection ends or the answer is complete.
func ask(t *testing.T, handler http.HandlerFunc, request string) (*http.Response, error) {
	t.Helper()
	client, server := net.Pipe()
	ln := &piped{conns: make(chan net.Conn, 1), end: make(chan struct{})}
	ln.conns <- server
	s := &http.Server{Handler: bounded(handler), ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		_ = client.Close()
		_ = s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	if _, err := io.WriteString(client, request); err != nil {
		t.Fatal(err)
	}
	if err := client.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

func TestABodyThatNeverComesDoesNotHoldItsConnection(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"read":   func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) },
		"unread": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
	} {
		for _, header := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
			t.Run(name+" "+header, func(t *testing.T) {
				t.Parallel()
				bubble.Test(t, func(t *testing.T) {
					began := time.Now()
					_, _ = ask(t, handler, "POST /login HTTP/1.1\r\nHost: localhost\r\n"+header+"\r\n\r\n") //nolint:bodyclose // it is closed
					if took := time.Since(began); took > 2*bodyWithin {
						t.Errorf("the connection was held for %s", took)
					}
				})
			})
		}
	}
}

func TestAnActionMayTakeLongerThanItsForm(t *testing.T) {
	t.Parallel()
	bubble.Test(t, func(t *testing.T) {
		slow := func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			select {
			case <-r.Context().Done():
				t.Error("the action was called off")
			case <-time.After(10 * bodyWithin):
			}
			w.WriteHeader(http.StatusNoContent)
		}
		resp, err := ask(t, slow, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\n\r\ncsrf=a") //nolint:bodyclose // it is closed
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Errorf("%v, %v", resp, err)
		}
	})
}

func TestAStopDoesNotWaitForASlowReaderOfTheAdminAPI(t *testing.T) {
	t.Parallel()
	bubble.Test(t, func(t *testing.T) {
		asked := make(chan struct{})
		client, server := net.Pipe()
		ln := &piped{conns: make(chan net.Conn, 1), end: make(chan struct{})}
		ln.conns <- server
		o := &entrance{log: slog.New(slog.DiscardHandler), current: ln, server: &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				close(asked)
				_, _ = w.Write(make([]byte, 1<<20)) // more than anybody takes
			}),
		}}
		o.serve()
		if _, err := io.WriteString(client, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-asked
		const grace = 20 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), grace)
		defer cancel()
		if err := o.shut(ctx); err != nil || ctx.Err() != nil {
			t.Errorf("%v, %v", err, ctx.Err())
		}
		if _, err := io.Copy(io.Discard, client); err != nil {
			t.Errorf("the connection is still there: %v", err)
		}
	})
}
