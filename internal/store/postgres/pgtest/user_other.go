//go:build !unix

package pgtest

import "os/exec"

// user is whom the server runs as: whoever runs the tests.
type user struct{}

func unprivileged() (*user, error) { return nil, ErrNotInstalled }

func (*user) own(string) error { return nil }

func (*user) become(*exec.Cmd) {}
