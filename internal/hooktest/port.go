package hooktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// FreePort gives a port of the loopback interface on which nobody listens, for a program that is started later. It is none of those that
// the system gives to whoever asks for any port: until the program listens, and between two of its lives, one of those may become somebody
// else's. It is this process's until it ends, so that no other call gives it, here or in another process.
func FreePort(ctx context.Context) (string, error) {
	const first, tries = 10_000, 1000
	beyond := firstOfAny()
	if beyond <= first {
		return anyPort(ctx)
	}
	for range tries {
		port := strconv.Itoa(first + rand.IntN(beyond-first))
		if ok, err := reserve(ctx, net.JoinHostPort("127.0.0.1", port)); err != nil || ok {
			return port, err
		}
	}
	return "", errors.New("no port is free")
}

// reserve says whether nobody listens at an address, and marks it for all that reserve one: by the port of the same number of UDP.
func reserve(ctx context.Context, address string) (bool, error) {
	mark, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", address)
	if err != nil {
		return false, ctx.Err()
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return false, errors.Join(mark.Close(), ctx.Err())
	}
	marks <- mark
	return true, l.Close()
}

// marks keeps what is reserved from being collected, which would close it.
var marks = make(chan net.PacketConn, 1<<14) //nolint:gochecknoglobals // they are the process's, as the ports are

// firstOfAny gives the lowest port that the system gives to whoever asks for any; 0 where that cannot be known.
func firstOfAny() int {
	raw, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0
	}
	var low, high int
	if _, err := fmt.Sscan(string(raw), &low, &high); err != nil {
		return 0
	}
	return low
}

func anyPort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
