// Package auth lets requests prove who asks: with fixed credentials, with tokens and sessions that are fetched and renewed, with
// signatures, and with answers to the challenges of a server.
//
// An Authenticator is made from the table auth of a source or a webhook. It is bound to one origin: nobody else gets to see
// a credential. Whoever sends requests calls Authorize for each of them and tells Answered what came back, and sends over
// the Transport, which takes care of the kinds that are negotiated with the server.
package auth
