package hooktest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Raw writes bytes instead of an answer and closes the connection. On HTTP/2, which has no such bytes, the stream is reset.
func Raw(bytes string) Fault {
	return hijacked(func(conn net.Conn, buf *bufio.Writer) {
		_, _ = buf.WriteString(bytes)
		_ = buf.Flush()
	})
}

// Cut sends a status line that promises a body, and closes the connection in the middle of it.
func Cut(code int) Fault {
	return Raw(fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Length: 1000\r\n\r\nthe begin", code, http.StatusText(code)))
}

// HTTP10 answers as servers did in 1996: no length, the end of the connection is the end of the body.
func HTTP10(code int, body string) Fault {
	return Raw(fmt.Sprintf("HTTP/1.0 %d %s\r\nContent-Type: text/plain\r\n\r\n%s", code, http.StatusText(code), body))
}

// Close closes the connection without an answer.
func Close() Fault { return Raw("") }

// Garbage answers with something that is not HTTP.
func Garbage() Fault { return Raw("\x00\x01 nonsense\r\n\r\n") }

// MalformedStatusLines gives answers that begin like HTTP and have no status that can be read.
func MalformedStatusLines() []string {
	return []string{
		"HTTP/1.1\r\n\r\n", "HTTP/1.1 \r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 -20 OK\r\n\r\n", "HTTP/x.y 200 OK\r\n\r\n", "HTTP/1.1 200 OK", "\r\nHTTP/1.1 200 OK\r\n\r\n",
	}
}

// Reset ends the connection with a TCP reset, as a crashed process or a firewall does.
func Reset() Fault {
	return hijacked(func(conn net.Conn, _ *bufio.Writer) {
		if secure, ok := conn.(*tls.Conn); ok {
			conn = secure.NetConn()
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
		}
	})
}

// Stall writes the start of an answer and then nothing, until the sender goes away.
func Stall(start string) Fault {
	return hijacked(func(conn net.Conn, buf *bufio.Writer) {
		_, _ = buf.WriteString(start)
		_ = buf.Flush()
		_, _ = io.Copy(io.Discard, conn)
	})
}

// DripHead sends a status line and headers one byte at a time, until the sender goes away.
func DripHead(every time.Duration) Fault {
	return hijacked(func(conn net.Conn, _ *bufio.Writer) {
		tick := time.NewTicker(every)
		defer tick.Stop()
		const start = "HTTP/1.1 200 OK\r\nX-Slow: "
		for i := 0; ; i++ {
			b := byte('.')
			if i < len(start) {
				b = start[i]
			}
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			<-tick.C
		}
	})
}

// EndlessHead answers with headers that do not end, until the sender goes away.
func EndlessHead() Fault {
	return hijacked(func(_ net.Conn, buf *bufio.Writer) {
		_, err := buf.WriteString("HTTP/1.1 200 OK\r\n")
		for i := 0; err == nil; i++ {
			_, err = fmt.Fprintf(buf, "X-Header-%d: value\r\n", i)
		}
	})
}

// hijacked takes the connection over; it is closed in the end.
func hijacked(do func(conn net.Conn, buf *bufio.Writer)) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer func() { _ = conn.Close() }()
		do(conn, buf.Writer)
		return true
	}
}
