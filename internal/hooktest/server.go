package hooktest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Server serves a handler on a loopback address.
type Server struct {
	URL  string // "http://127.0.0.1:PORT", or https
	http *http.Server
	done chan struct{}
}

// Serve starts a server on address, for example "127.0.0.1:0".
func Serve(ctx context.Context, address string, h http.Handler) (*Server, error) {
	return serve(ctx, address, h, nil)
}

func serve(ctx context.Context, address string, h http.Handler, config *tls.Config) (*Server, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for webhooks: %w", err)
	}
	s := &Server{
		URL: "http://" + l.Addr().String(),
		http: &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, TLSConfig: config,
			ErrorLog: log.New(io.Discard, "", 0), // broken handshakes are what some of its tests are about
		},
		done: make(chan struct{}),
	}
	if config != nil {
		s.URL = "https://" + l.Addr().String()
	}
	go func() {
		defer close(s.done)
		if config != nil {
			_ = s.http.ServeTLS(l, "", "")
			return
		}
		_ = s.http.Serve(l)
	}()
	return s, nil
}

// Close ends the server and its connections at once.
func (s *Server) Close() {
	_ = s.http.Close()
	<-s.done
}
