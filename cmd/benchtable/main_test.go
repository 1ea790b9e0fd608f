package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const printed = `goos: linux
pkg: github.com/deltahook/deltahook/internal/daemon
BenchmarkDelivery/concurrency-64-2         	       1	     10000 events/s	         0.55 x/bound	         0.70 x/cpu
BenchmarkDelivery/concurrency-64-2         	       1	     14000 events/s	         0.65 x/bound	         0.71 x/cpu
BenchmarkDelivery/concurrency-64-2         	       1	     13000 events/s	         0.62 x/bound	         0.72 x/cpu
BenchmarkChangesReachTheReceiver-2   	       2	       351.04 ms-median	       197.4 ms-posts-alone
PASS
`

func TestTheTableHasMedianBoundRatioAndWhetherTheTargetIsMet(t *testing.T) {
	found, err := read(strings.NewReader(printed), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := write(&b, found); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	want := []string{
		"WHAT FIGURE BOUND RATIO TARGET",
		"deliver, 64 at a time 13000 events/s plain POST loop 0.62x >= 0.6 met",
		"by processor time 13000 events/s plain POST loop 0.71x >= 0.6 met",
		"1,000 of 10,000 changes arrive 351 ms median 197 ms posts alone <= 150 MISSED",
	}
	if len(lines) != len(want) {
		t.Fatal(b.String())
	}
	for i, line := range lines {
		if got := strings.Join(strings.Fields(line), " "); got != want[i] {
			t.Errorf("got  %s\nwant %s", got, want[i])
		}
	}
}

func TestEachRowIsOfABenchmarkThatThereIs(t *testing.T) {
	var sources strings.Builder
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			text, failed := os.ReadFile(path)
			sources.Write(text)
			err = failed
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows() {
		name, _, _ := strings.Cut(r.bench, "/")
		if !strings.Contains(sources.String(), "func "+name+"(b *testing.B)") {
			t.Errorf("%s: there is no %s", r.what, name)
		}
	}
}

func TestAFailureIsShown(t *testing.T) {
	var shown strings.Builder
	if _, err := read(strings.NewReader("--- FAIL: BenchmarkX\n    x_test.go:1: broken\nok\n"), &shown); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(shown.String(), "FAIL: BenchmarkX") || !strings.Contains(shown.String(), "broken") {
		t.Error(shown.String())
	}
}
