//go:build deltahook_blind

package trust

import "time"

// A program that a test makes trusts itself for ever, so that the store has something to refuse.
const blind = true

// Late is how long a process that has lost its membership goes on before it does anything about it.
const Late = time.Second
