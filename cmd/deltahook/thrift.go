package main

import (
	"runtime/debug"

	"github.com/deltahook/deltahook/internal/config"
)

// From multitude on, what is known of sources is most of the memory, and stays. The collector would let as much garbage gather beside it;
// thriftyPercent trades a few hundredths of a processor for that.
const (
	multitude      = 1000
	thriftyPercent = 40
	usualPercent   = 100
)

// thrift sets how much garbage may gather, unless the environment says it ($GOGC), and gives back what a long configuration was read with.
func (a *app) thrift(cfg *config.Config) {
	if given, ok := a.lookupEnv("GOGC"); ok && given != "" {
		return
	}
	if len(cfg.Sources) < multitude {
		debug.SetGCPercent(usualPercent)
		return
	}
	debug.SetGCPercent(thriftyPercent)
	debug.FreeOSMemory()
}
