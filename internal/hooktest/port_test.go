package hooktest_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/deltahook/deltahook/internal/hooktest"
)

func TestAFreePortIsGivenOnceAndNotBySomebodyWhoAsksForAny(t *testing.T) {
	given := map[string]bool{}
	for range 100 {
		port, err := hooktest.FreePort(t.Context())
		if err != nil || given[port] {
			t.Fatalf("port %q, given before: %t, %v", port, given[port], err)
		}
		given[port] = true
	}
	for range 300 {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		if at, ok := l.Addr().(*net.TCPAddr); !ok || given[strconv.Itoa(at.Port)] {
			t.Errorf("the system gives %s, too", l.Addr())
		}
	}
	for port := range given {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
}
