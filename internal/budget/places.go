package budget

import (
	"math/rand/v2"
	"time"
)

// How the places are shared that are fewer than members: each has one for a turn, then lets others have it.
const (
	turn      = time.Second
	rest      = 300 * time.Millisecond
	again     = 100 * time.Millisecond // after there was none
	againMost = 500 * time.Millisecond
)

// Places are how many requests of one kind may be under way at the same time: all that are allowed for a member who is alone, else
// those that the bank has made its own, a fair share of them. They are not safe for concurrent use, and have no clock.
type Places struct {
	key    string
	all    int
	shared bool

	held   int
	spell  int       // of the view under which they are held
	since  time.Time // when it got one of those that are fewer than members
	retry  time.Time // no question before
	pause  time.Duration
	asking bool
}

// NewPlaces makes the places of a key.
func NewPlaces(key string, all int, shared bool) Places {
	return Places{key: key, all: all, shared: shared}
}

// Limit says how many requests may be under way.
func (p *Places) Limit(now time.Time, v View) int {
	switch {
	case !p.shared:
		return p.all
	case !v.Sure || v.Spell != p.spell || p.over(now, v):
		return 0
	}
	return min(p.held, p.share(v))
}

// Any says whether the bank has given some.
func (p *Places) Any() bool { return p.held > 0 }

// share is the fair part: all shares together are what there is, unless there are fewer places than members.
func (p *Places) share(v View) int {
	n := max(v.Members, 1)
	share := p.all / n
	if v.Rank < p.all%n {
		share++
	}
	return max(share, 1)
}

// scarce says that there are fewer places than members.
func (p *Places) scarce(v View) bool { return v.Members > p.all }

// over says that the turn has ended.
func (p *Places) over(now time.Time, v View) bool {
	return p.scarce(v) && p.held > 0 && now.Sub(p.since) >= turn
}

// Want says what to ask the bank for, when busy requests are under way, and whether more could be. When there is nothing to ask for
// yet, wait says how long it may be until there is; 0: until something else happens.
func (p *Places) Want(now time.Time, v View, busy int, more bool) (want int, ask bool, wait time.Duration) {
	if !p.shared || p.asking || !v.Sure {
		return 0, false, 0 // an answer comes, or the view changes
	}
	if v.Spell != p.spell {
		p.spell, p.held, p.retry = v.Spell, 0, time.Time{}
	}
	share := p.share(v)
	switch {
	case p.over(now, v):
		want = busy
	case p.held > share:
		want = max(share, busy)
	case p.held < share && (more || !p.scarce(v)):
		want = share
	default:
		return 0, false, 0
	}
	if wait = p.retry.Sub(now); wait > 0 || want == p.held {
		return want, false, max(wait, 0)
	}
	p.asking = true
	return want, true, 0
}

// Got hears how many places there are now.
func (p *Places) Got(now time.Time, want, held int, err error) {
	p.asking = false
	switch {
	case err != nil:
		p.retry, p.held = now.Add(againMost), min(p.held, want)
		return
	case held < want:
		p.pause = min(max(2*p.pause, again), againMost)
		p.retry = now.Add(p.pause + rand.N(p.pause))
	case held == 0: // given back
		p.pause, p.retry = 0, now.Add(rest+rand.N(rest))
	default:
		p.pause, p.retry = 0, time.Time{}
	}
	if held > 0 && p.held == 0 {
		p.since = now
	}
	p.held = held
}
