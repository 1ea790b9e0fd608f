//go:build !deltahook_blind

package trust

const blind = false

// Late is how long a process that has lost its membership goes on before it does anything about it.
const Late = 0
