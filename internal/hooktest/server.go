package hooktest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Server serves a handler on a loopback address.
type Server struct {
	URL  string // "http://127.0.0.1:PORT"
	http *http.Server
	done chan struct{}
}

// Serve starts a server on address, for example "127.0.0.1:0".
func Serve(ctx context.Context, address string, h http.Handler) (*Server, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for webhooks: %w", err)
	}
	s := &Server{
		URL:  "http://" + l.Addr().String(),
		http: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second},
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l)
	}()
	return s, nil
}

// Close ends the server and its connections at once.
func (s *Server) Close() {
	_ = s.http.Close()
	<-s.done
}
