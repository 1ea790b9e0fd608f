// Package emitter turns changes into signed webhook POSTs and sees each of them through: at least once, in order per
// record, bytes fixed at commit.
package emitter
