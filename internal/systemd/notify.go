// Package systemd tells the service manager how the daemon is, as sd_notify(3) describes it: datagrams of lines VARIABLE=value, sent to
// the socket that the manager names.
package systemd

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Notifier talks to the service manager. The nil Notifier, of a process that none watches, says nothing.
type Notifier struct {
	socket string
	// watchdog is how long the manager waits for a sign of life before it kills the process; 0: it does not watch.
	watchdog time.Duration
	send     func(message string) error
}

// New reads what the service manager has put into the environment: NOTIFY_SOCKET, and, see sd_watchdog_enabled(3), WATCHDOG_USEC and
// WATCHDOG_PID. It gives nil when there is nobody to notify.
func New(lookupEnv func(string) (string, bool), pid int) (*Notifier, error) {
	socket, _ := lookupEnv("NOTIFY_SOCKET")
	if socket == "" {
		return nil, nil //nolint:nilnil // the nil Notifier works
	}
	if socket[0] != '/' && socket[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET=%s is neither a path nor an abstract name; the service manager is not notified", socket)
	}
	n := &Notifier{socket: socket}
	n.send = n.post
	usec, _ := lookupEnv("WATCHDOG_USEC")
	if usec == "" {
		return n, nil
	}
	interval, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || interval <= 0 {
		return n, fmt.Errorf("WATCHDOG_USEC=%s is not a number of microseconds; the watchdog gets no sign of life", usec)
	}
	if watched, _ := lookupEnv("WATCHDOG_PID"); watched == "" || watched == strconv.Itoa(pid) {
		n.watchdog = time.Duration(interval) * time.Microsecond
	}
	return n, nil
}

// Ready says that the daemon works, at start and after a reload.
func (n *Notifier) Ready(status string) error { return n.notify("READY=1", statusLine(status)) }

// Reloading says that a reload begins; Ready ends it, whatever came of it.
func (n *Notifier) Reloading() error {
	return n.notify("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(monotonicMicros(), 10), statusLine("reloading"))
}

// Stopping says that the daemon ends by itself or by request.
func (n *Notifier) Stopping(status string) error { return n.notify("STOPPING=1", statusLine(status)) }

// Status is the line that systemctl status shows.
func (n *Notifier) Status(status string) error { return n.notify(statusLine(status)) }

func (n *Notifier) alive() error { return n.notify("WATCHDOG=1") }

// statusLine keeps a status in one line: a line feed would begin another variable.
func statusLine(status string) string { return "STATUS=" + strings.ReplaceAll(status, "\n", " ") }

func (n *Notifier) notify(lines ...string) error {
	if n == nil {
		return nil
	}
	if err := n.send(strings.Join(lines, "\n")); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}

// post sends one datagram. The socket is opened anew each time, because the manager may have been started anew; one that does not read
// must not hold up the daemon.
func (n *Notifier) post(message string) error {
	const patience = time.Second
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}
