package emitter

import (
	"context"
	"time"
)

// span bounds attempts that are made one after the other. They share a context and a timer until one of them takes too long:
// making both costs more than signing.
type span struct {
	parent context.Context //nolint:containedctx // of a worker, whose attempts these are

	ctx    context.Context //nolint:containedctx // nil: the next attempt makes one
	cancel context.CancelFunc
	timer  *time.Timer
}

// begin gives the context of an attempt that may take so long.
func (s *span) begin(limit time.Duration) context.Context {
	if s.ctx == nil {
		s.ctx, s.cancel = context.WithCancel(s.parent)
		s.timer = time.AfterFunc(limit, s.cancel)
	} else {
		s.timer.Reset(limit)
	}
	return s.ctx
}

// restart sets what is left for the attempt, unless its time is over.
func (s *span) restart(limit time.Duration) {
	if s.timer.Stop() {
		s.timer.Reset(limit)
	}
}

// end ends an attempt. A timer that cannot be stopped has cancelled the context, or is about to.
func (s *span) end() {
	if !s.timer.Stop() {
		s.close()
	}
}

// close ends the context.
func (s *span) close() {
	if s.ctx != nil {
		s.timer.Stop()
		s.cancel()
		s.ctx = nil
	}
}
