// Package poller asks REST APIs on a schedule and finds out what changed.
//
// A poll walks through all pages of a listing, compares each record with what is known while the answer still streams in,
// and comes to a verdict. Only a listing that was read up to a positive end signal proves what is missing. What the poll
// found becomes durable in one transaction, together with the events that tell of it, or not at all.
package poller
