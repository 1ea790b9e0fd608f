package main

import (
	"runtime/debug"

	"github.com/deltahook/deltahook/internal/config"
)

// From a multitude on, what is known of sources is most of the memory, and stays. The collector would let as much garbage gather beside
// it; less of it costs a few hundredths of a processor.
const (
	multitude = 1000
	throng    = 5000

	usualPercent   = 100
	thriftyPercent = 40
	throngPercent  = 25
)

// thrift sets how much garbage may gather, unless the environment says it ($GOGC), and gives back what a long configuration was read with.
func (a *app) thrift(cfg *config.Config) {
	if given, ok := a.lookupEnv("GOGC"); ok && given != "" {
		return
	}
	switch n := len(cfg.Sources); {
	case n < multitude:
		debug.SetGCPercent(usualPercent)
		return
	case n < throng:
		debug.SetGCPercent(thriftyPercent)
	default:
		debug.SetGCPercent(throngPercent)
	}
	debug.FreeOSMemory()
}
