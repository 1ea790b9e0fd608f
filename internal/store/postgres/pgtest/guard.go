package pgtest

import (
	"context"
	"io"
	"os/exec"
)

// guard is a server that goes when its input ends: when it is stopped, or with the process that has it.
type guard struct {
	alive  io.Closer
	exited chan struct{}
}

// guarded gives a server the signal $1 when the input ends.
const guarded = `signal=$1; shift; exec 3<&0; "$@" </dev/null 3<&- & server=$!; (cat <&3 >/dev/null; kill -$signal $server) & wait $server; kill $! 2>/dev/null`

// guard starts a program in a folder. The signal is the one by which the program ends at once.
func (u *user) guard(ctx context.Context, dir, signal string, command ...string) (*guard, error) {
	args := append([]string{"-c", guarded, "guarded", signal}, command...)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "sh", args...) //nolint:gosec // of the installation
	cmd.Dir = dir
	u.become(cmd)
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	g := &guard{alive: alive, exited: make(chan struct{})}
	go func() {
		defer close(g.exited)
		_ = cmd.Wait() // how it ends does not matter
	}()
	return g, nil
}

// end ends the server, unless it never began.
func (g *guard) end() {
	if g != nil {
		_ = g.alive.Close() // closed already after a crash
		<-g.exited
	}
}
