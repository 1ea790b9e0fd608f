//go:build deltahook_blind

package trust

// A program that a test makes trusts itself for ever, so that the store has something to refuse.
const blind = true
