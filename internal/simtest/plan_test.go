package simtest

import (
	"context"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite/faultdisk"
)

// act does the next thing of the plan.
func (w *world) act() {
	if w.process == nil && w.chance.IntN(2) == 0 {
		w.start()
		return
	}
	u := w.upstreams[w.chance.IntN(len(w.upstreams))]
	switch dice := w.chance.IntN(100); {
	case dice < 50:
		u.change(1 + w.chance.IntN(6))
	case dice < 58:
		w.harmUpstream(u)
	case dice < 66:
		w.harmReceiver(w.receivers[1+w.chance.IntN(3)])
	case dice < 72:
		w.harmNetwork()
	case dice < 77:
		w.ills.dieAt(1 + w.chance.IntN(80))
	case dice < 80 && w.process != nil:
		w.crash(w.chance.IntN(2) == 0)
	case dice < 83:
		w.ills.harm([]faultdisk.Fault{faultdisk.Full, faultdisk.Broken, faultdisk.ReadOnly, faultdisk.Torn}[w.chance.IntN(4)], time.Duration(w.chance.Int64N(int64(10*w.pace))))
	case dice < 90 && w.process != nil:
		w.person()
	case dice < 95 && w.process != nil:
		w.edit()
	case dice < 97 && w.process != nil:
		w.stop()
	case dice < 98:
		w.jumps = true
		w.step.Add(1)
	default:
		w.mend()
	}
}

func (w *world) harmUpstream(u *upstream) {
	if u.calm {
		u.harm(0, w.chance.IntN(2) == 0)
		return
	}
	u.harm([]int{0, 5, 30, 100}[w.chance.IntN(4)], w.chance.IntN(2) == 0)
}

func (w *world) harmReceiver(r *receiver) { r.harm([]int{0, 10, 50, 100}[w.chance.IntN(4)]) }

func (w *world) harmNetwork() {
	address := w.upstreams[1+w.chance.IntN(2)].address
	if w.chance.IntN(2) == 0 {
		address = w.receivers[1+w.chance.IntN(3)].address
	}
	w.net.harm(address, []error{nil, refused(), errHang}[w.chance.IntN(3)])
}

// mend ends all trouble around the process.
func (w *world) mend() {
	for _, u := range w.upstreams {
		u.calmDown()
		w.net.harm(u.address, nil)
	}
	for _, r := range w.receivers {
		r.harm(0)
		w.net.harm(r.address, nil)
	}
}

// do asks the process for something, and says whether it was done.
func (w *world) do(a admin.Action) bool {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if a.Source != "" {
		w.upstream(a.Source).meddle(true)
		defer w.upstream(a.Source).meddle(false)
	}
	return w.process.client.Act(ctx, a) == nil
}

// help does what deltahook asks people for: it lets go on what waits for a decision.
func (w *world) help() {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	s, err := w.process.client.Status(ctx)
	if err != nil {
		return
	}
	for _, source := range s.Sources {
		switch source.State {
		case "paused":
			if w.do(admin.Action{Verb: admin.Resume, Source: source.Name}) {
				delete(w.paused, source.Name)
			}
		case "held":
			if w.chance.IntN(2) == 0 {
				w.anew(admin.Edit{Verb: admin.Rekey, Source: source.Name}) // which is refused when it is held for something else
			}
			w.do(admin.Action{Verb: []admin.Verb{admin.Release, admin.Release, admin.Discard}[w.chance.IntN(3)], Source: source.Name})
		}
	}
	for _, hook := range s.Webhooks {
		if hook.State == "paused" {
			w.do(admin.Action{Verb: admin.Resume, Webhook: hook.Name})
		}
	}
}

// watch looks at what has happened meanwhile.
func (w *world) watch() {
	if w.process != nil && w.ills.dying() {
		w.crash(w.chance.IntN(3) == 0)
	}
	w.checkLively()
	if leak := w.journal.leaked(); leak != "" {
		w.violated(11, "a secret is in the log: %s", leak)
	}
}

// rest ends all trouble and waits until everything has arrived.
func (w *world) rest() {
	w.mend()
	w.ills.heal()
	w.ills.dieAt(0)
	if w.process != nil && w.ills.dying() {
		w.crash(false)
	}
	if w.process != nil && w.other != nil {
		w.stop() // nobody knows by what it runs
	}
	if w.process == nil && !w.start() {
		w.violated(12, "it does not start once all is well")
		return
	}
	if w.running.missing() && !w.allBack() {
		return
	}
	w.polls.rest()
	longest := 100 * time.Minute // a source that failed is left alone for up to an hour
	for _, s := range w.running.sources {
		longest = max(longest, 100*time.Minute+time.Duration(s.confirm+3+s.patience())*max(s.every, s.whole))
	}
	for end := time.Now().Add(longest); w.violation() == nil; {
		w.help()
		time.Sleep(time.Minute)
		w.watch()
		if w.process != nil {
			w.learn(w.t.Context(), w.process.store)
		}
		left := w.unsettled()
		if left == "" {
			break
		}
		if w.unfound() && w.askAnew() {
			continue
		}
		if time.Now().After(end) || w.unfound() {
			w.overdue(left)
			return
		}
		if !w.waiting() {
			w.replay()
		}
	}
	if w.violation() == nil {
		w.checkRest()
	}
}

// allBack puts all that is away back into the configuration.
func (w *world) allBack() bool {
	w.reload(w.wanted.whole())
	if w.other == nil && !w.running.missing() {
		return true
	}
	w.violated(12, "it does not take a configuration once all is well")
	return false
}

// askAnew lets lists be read that are not asked for any more: a server has said that a record is there which its list lacks, and as
// long as the list stays the same (304) this is believed, for six hours. It says whether there is any.
func (w *world) askAnew() (any bool) {
	for _, u := range w.upstreams {
		u.mu.Lock()
		vouched := u.vouched
		u.vouched = false
		u.mu.Unlock()
		if vouched {
			w.anew(admin.Edit{Verb: admin.Reset, Source: u.name, Level: "validators"})
		}
		any = any || vouched
	}
	if any {
		w.polls.rest()
	}
	return any
}

// replay sends what was parked, once nothing else is on its way.
func (w *world) replay() {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	_, _ = w.process.client.Change(ctx, admin.Change{Kind: admin.Replay, Query: store.DeliveryQuery{State: store.StateParked}}, false)
}
