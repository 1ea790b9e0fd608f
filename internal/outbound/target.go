package outbound

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Target is a parsed address: an http or https URL, or an HTTP path behind a Unix socket. Its origin is the only one that
// may see credentials.
type Target struct {
	URL    *url.URL // of a socket: a URL whose host stands for the socket
	Socket string   // path of the Unix socket; empty: TCP
}

// socketSuffix marks the hosts that stand for Unix sockets. The name is reserved (RFC 6761), so no real host has it.
const socketSuffix = ".socket.invalid"

// ParseTarget reads "https://host/path", "http://host/path" or "unix:/path.sock:/http/path". User information is refused:
// it would end up in logs of proxies and servers.
func ParseTarget(text string) (Target, error) {
	if rest, ok := strings.CutPrefix(text, "unix:"); ok {
		return parseSocket(rest)
	}
	u, err := ParseURL(text)
	if err != nil {
		return Target{}, errors.New("it is not a URL")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return Target{}, fmt.Errorf("the scheme is %q, not http, https or unix", u.Scheme)
	case u.Hostname() == "":
		return Target{}, errors.New("there is no host in it")
	case u.User != nil:
		return Target{}, errors.New("there is a user name or password in it")
	case strings.HasSuffix(strings.ToLower(u.Hostname()), socketSuffix):
		return Target{}, errors.New("the host is reserved")
	case !ValidPort(u):
		return Target{}, fmt.Errorf("the port %s is none: they go from 1 to 65535", u.Port())
	}
	u.Fragment, u.RawFragment = "", ""
	return Target{URL: u}, nil
}

func parseSocket(rest string) (Target, error) {
	socket, path, ok := strings.Cut(rest, ":")
	if !ok || !strings.HasPrefix(socket, "/") || !strings.HasPrefix(path, "/") {
		return Target{}, errors.New("a Unix socket is written as unix:/path.sock:/http/path")
	}
	u, err := ParseURL("http://" + socketHost(socket) + path)
	if err != nil {
		return Target{}, errors.New("the HTTP path behind the socket is not valid")
	}
	u.Fragment, u.RawFragment = "", ""
	return Target{URL: u, Socket: socket}, nil
}

func socketHost(path string) string { return hex.EncodeToString([]byte(path)) + socketSuffix }

// socketPath gives the socket that host stands for.
func socketPath(host string) (string, bool) {
	name, ok := strings.CutSuffix(host, socketSuffix)
	if !ok {
		return "", false
	}
	path, err := hex.DecodeString(name)
	return string(path), err == nil
}

// Origin gives scheme, host and port, the port always written: "https://api.example.com:443", or "unix:/path.sock".
func (t Target) Origin() string {
	if t.Socket != "" {
		return "unix:" + t.Socket
	}
	return originOf(t.URL)
}

// String gives the address without its query, for people.
func (t Target) String() string { return Display(t.URL) }

// ParseURL parses a URL or a reference as net/url does, and escapes what may not stand in its path. Otherwise one letter that is not
// ASCII would have the whole path written anew, and %2F, which is part of a name, would become a slash.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err == nil {
		u.RawPath = escape(u.RawPath, func(c byte) bool { return unfit(c) || strings.IndexByte("\\^`{|}", c) >= 0 })
	}
	return u, err
}

// EscapeQuery escapes what may not stand in the query of a request (RFC 3986): blanks, letters that are not ASCII and the like, as
// browsers do. The client of Go sends a query as it is, and servers refuse a request line with blanks in it. What is escaped stays so.
func EscapeQuery(query string) string { return escape(query, unfit) }

// escape writes the bytes of text that are not fit for where it stands as percent and two digits.
func escape(text string, unfit func(byte) bool) string {
	var b strings.Builder
	done := 0
	for i := range len(text) {
		if unfit(text[i]) {
			fmt.Fprintf(&b, "%s%%%02X", text[done:i], text[i])
			done = i + 1
		}
	}
	if done == 0 {
		return text
	}
	return b.String() + text[done:]
}

func unfit(c byte) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' }

func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Scheme + "://" + u.Hostname() + ":" + port)
}

// Display gives u as people may see it: without user information, query and fragment.
func Display(u *url.URL) string {
	if socket, ok := socketPath(u.Hostname()); ok {
		return "unix:" + socket + ":" + u.EscapedPath()
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}
