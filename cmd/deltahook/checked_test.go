package main

import (
	"context"
	"errors"
	"strings"
	"testing"
)

type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestACommandWhoseOutputIsLostHasFailed(t *testing.T) {
	for _, command := range []string{"version", "secret", "schema", "completion bash"} {
		var stderr strings.Builder
		p := &process{args: strings.Fields(command), stdin: strings.NewReader(""), stdout: full{}, stderr: &stderr, lookupEnv: func(string) (string, bool) { return "", false }}
		if code := execute(context.Background(), p); code != exitFailure || !strings.Contains(stderr.String(), "the output cannot be written: no space left on device") {
			t.Errorf("%s: code %d, %q", command, code, stderr.String())
		}
	}
}
