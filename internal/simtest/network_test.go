package simtest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/deltahook/deltahook/internal/outbound"
)

// network connects a process with servers in memory, as virtual time needs it: a wait on a socket would not let the clock go on.
type network struct {
	mu      sync.Mutex
	servers map[string]*listener // by address
	serving []*http.Server
	trouble map[string]error // of addresses; errHang: nobody answers
	conns   map[net.Conn]struct{}
	dead    bool // the process is: nothing goes out any more
}

var errHang = errors.New("nobody answers")

func newNetwork() *network {
	return &network{servers: map[string]*listener{}, trouble: map[string]error{}, conns: map[net.Conn]struct{}{}}
}

// serve puts a server at an address.
func (n *network) serve(address string, h http.Handler) {
	l, err := n.listen(context.Background(), "tcp", address)
	if err != nil {
		panic(err) // two servers at one address
	}
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	n.serving = append(n.serving, s)
	go func() { _ = s.Serve(l) }()
}

// close ends all servers.
func (n *network) close() {
	for _, s := range n.serving {
		_ = s.Close()
	}
}

// harm makes an address unreachable; nil heals it.
func (n *network) harm(address string, how error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trouble[address] = how
}

// kill ends all connections of the process and lets it make no others.
func (n *network) kill() {
	n.mu.Lock()
	n.dead = true
	open := n.conns
	n.conns = map[net.Conn]struct{}{}
	n.mu.Unlock()
	for c := range open {
		_ = c.Close()
	}
}

// revive lets the next process begin.
func (n *network) revive() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead = false
}

var _ outbound.Dial = (&network{}).dial

// dial connects the process.
func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l, trouble, dead := n.servers[address], n.trouble[address], n.dead
	n.mu.Unlock()
	switch {
	case dead, l == nil:
		return nil, refused()
	case errors.Is(trouble, errHang):
		pause(ctx.Done(), 10*time.Second) // as long as a dialer has patience; the transport's context has more
		return nil, os.ErrDeadlineExceeded
	case trouble != nil:
		return nil, trouble
	}
	client, server := net.Pipe()
	c := &conn{Conn: client, of: n}
	n.mu.Lock()
	n.conns[c] = struct{}{}
	n.mu.Unlock()
	if err := l.take(ctx, server); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// connect connects a person, who does not die with the process.
func (n *network) connect(ctx context.Context, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.servers[address]
	n.mu.Unlock()
	if l == nil {
		return nil, refused()
	}
	client, server := net.Pipe()
	return client, l.take(ctx, server)
}

func (l *listener) take(ctx context.Context, c net.Conn) error {
	select {
	case l.incoming <- c:
		return nil
	case <-l.closed:
		return refused()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func refused() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// conn is the process's end of a connection.
type conn struct {
	net.Conn

	of *network
}

func (c *conn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// listen gives an address to the process or to a server.
func (n *network) listen(_ context.Context, _, address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.servers[address] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: syscall.EADDRINUSE}
	}
	l := &listener{of: n, address: address, incoming: make(chan net.Conn), closed: make(chan struct{})}
	n.servers[address] = l
	return l, nil
}

type listener struct {
	of       *network
	address  string
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.of.mu.Lock()
		defer l.of.mu.Unlock()
		delete(l.of.servers, l.address)
	})
	return nil
}

func (l *listener) Addr() net.Addr { return memoryAddr(l.address) }

type memoryAddr string

func (memoryAddr) Network() string  { return "tcp" }
func (a memoryAddr) String() string { return string(a) }
