package auth

import "time"

// holds keeps a server that refuses whatever token it gets from causing a stream of new ones. Refusals that may be about what was asked
// (403) are counted apart: one address that is forbidden must not keep an expired token from being renewed.
type holds struct{ refused, forbidden hold }

type hold struct {
	useless int // tokens in a row whose first answer was another refusal
	until   time.Time
}

const (
	firstHold = time.Minute // doubles
	mostHold  = time.Hour
)

func (h *holds) of(v verdict) *hold {
	if v == forbidden {
		return &h.forbidden
	}
	return &h.refused
}

// first takes the first answer that a token got.
func (h *holds) first(t *token, v verdict, now time.Time) {
	switch {
	case t.afterRefusal == accepted: // it was not fetched because of a refusal: one more may help
	case v == accepted:
		*h.of(t.afterRefusal) = hold{}
	default:
		held := h.of(v)
		pause := firstHold
		for range held.useless {
			pause = min(2*pause, mostHold)
		}
		*held = hold{useless: held.useless + 1, until: now.Add(pause)}
	}
}

// until gives the time before which a refusal does not cause a new token.
func (h *holds) until(v verdict) time.Time { return h.of(v).until }
