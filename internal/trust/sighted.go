//go:build !deltahook_blind

package trust

const blind = false
