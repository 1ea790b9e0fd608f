// Package emitter turns changes into signed webhook POSTs and sees each of them through: at least once, in order per
// record, bytes fixed at commit.
//
// An Event becomes bytes once (EncodeStandard, Event.ID). A Sender makes one attempt and gives its Outcome; a Gate decides for a
// whole webhook when it may be tried; the Dispatcher keeps what is queued in lanes, one for the events that must go out one after
// the other, and tells the Outbox what came of each.
package emitter
