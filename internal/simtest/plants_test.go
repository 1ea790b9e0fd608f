package simtest

import (
	"log/slog"

	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/store"
)

// plant is a bug that is planted in the process, around what it is made of.
type plant struct {
	text  func(w *world, text string) string               // of its configuration
	above func(w *world, s store.Store) store.Store        // between it and what is noted of its store
	below func(w *world, s store.Store) store.Store        // between that and the store
	dial  func(w *world, dial outbound.Dial) outbound.Dial // of its network
	log   func(w *world, log slog.Handler) slog.Handler    // of its log
}
