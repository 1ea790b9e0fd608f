package main

import (
	"runtime/debug"
	"testing"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/poller"
)

func TestManySourcesLetLessGarbageGather(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(usualPercent))
	for _, c := range []struct {
		sources   int
		gogc      string
		has, want int
	}{
		{sources: 1, has: throngPercent, want: usualPercent}, // most of them left with a reload
		{sources: multitude - 1, has: usualPercent, want: usualPercent},
		{sources: multitude, has: usualPercent, want: thriftyPercent},
		{sources: throng, has: usualPercent, want: throngPercent},
		{sources: throng, gogc: "200", has: 200, want: 200},
	} {
		debug.SetGCPercent(c.has)
		a := &app{process: &process{lookupEnv: func(string) (string, bool) { return c.gogc, c.gogc != "" }}}
		a.thrift(&config.Config{Sources: make([]*poller.Source, c.sources)})
		if got := debug.SetGCPercent(usualPercent); got != c.want {
			t.Errorf("%d sources, GOGC=%q: %d %%, want %d", c.sources, c.gogc, got, c.want)
		}
	}
}
