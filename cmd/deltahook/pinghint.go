package main

import (
	"fmt"
	"net/http"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/outbound"
)

// pingHint is the next step after a ping that was not delivered.
func pingHint(w *emitter.Webhook, o emitter.Outcome) string {
	switch o.Status {
	case 0:
		return unansweredHint(w, o.Reason)
	case http.StatusUnauthorized, http.StatusForbidden:
		return "it does not accept the signature or the credentials: does it have the same secret, and does it verify the raw body? " +
			"Check what it got with: deltahook verify --webhook " + w.Name
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "is that the path and the method that it listens on? url and method are in [webhook." + w.Name + "]"
	case http.StatusGone:
		return "it says that it wants no more events; after this answer the daemon pauses the webhook until: deltahook resume " + w.Name
	case http.StatusTooManyRequests:
		return `it has had enough: write rate = "10/s", or what it allows`
	}
	switch {
	case o.Class == emitter.Rejected:
		return "an event with this answer is parked. A receiver answers 2xx to types that it does not know, like deltahook.ping"
	case o.Reason == emitter.ReasonRedirect:
		return "redirects are not followed: they lose the body or show it to another host"
	case o.Reason == emitter.ReasonAnswer:
		return "success_when has to hold for the answer"
	case o.Reason == emitter.ReasonStatus5xx:
		return "its own log says more; the daemon tries again until it answers 2xx"
	}
	return "the daemon tries again until it answers 2xx"
}

// unansweredHint is for attempts without a status line.
func unansweredHint(w *emitter.Webhook, reason string) string {
	at := "[webhook." + w.Name
	switch reason {
	case emitter.ReasonSign:
		return "the secret is named in " + at + "]"
	case emitter.ReasonAuth:
		return "the credentials are named in " + at + ".auth]"
	case emitter.ReasonHandshake:
		return fmt.Sprintf("the receiver agrees by answering OPTIONS with %q; without a handshake: kind = \"none\" in %s.handshake]",
			"WebHook-Allowed-Origin: "+w.Handshake.Origin, at)
	case emitter.ReasonFormat:
		return "the template is in " + at + "]"
	case outbound.FaultUnready:
		return "the files and secrets are named in " + at + "] and " + at + ".tls]"
	case outbound.FaultDNS:
		return "is the name in url right, and known to this machine?"
	case outbound.FaultConnect:
		return "does the receiver run, on this port, and does a firewall let this machine through?"
	case outbound.FaultTLS:
		return "see its certificate: openssl s_client -connect HOST:PORT; an own authority is ca in " + at + ".tls], and a receiver may ask for cert and key"
	case outbound.FaultTimeout:
		return "a receiver stores the event and answers at once; timeout is in " + at + "]"
	case outbound.FaultProxy:
		return `see proxy in ` + at + `], HTTPS_PROXY and NO_PROXY; proxy = "none" goes without`
	case outbound.FaultBlocked:
		return "egress refuses this address; egress_allow in " + at + "] lets a network through"
	case outbound.FaultClosed:
		return "it closed the connection without an answer: its own log may say why"
	}
	return "it does not speak HTTP, or https was meant: see url in " + at + "]"
}
