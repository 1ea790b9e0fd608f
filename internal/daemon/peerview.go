package daemon

import (
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// counts adds to the webhooks here what the others count.
func (r *peers) counts(list []admin.Webhook) {
	sight := r.seen()
	if sight == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, one := range r.members {
		if !slices.ContainsFunc(sight.Peers, func(p store.Peer) bool { return store.Name(p.ID) == name }) {
			continue
		}
		for i := range one.Webhooks {
			at := slices.IndexFunc(list, func(w admin.Webhook) bool { return w.Name == one.Webhooks[i].Name })
			if at >= 0 {
				w, more := &list[at], &one.Webhooks[i]
				w.Delivered, w.Failed, w.Merged, w.InFlight = w.Delivered+more.Delivered, w.Failed+more.Failed, w.Merged+more.Merged, w.InFlight+more.InFlight
			}
		}
	}
}

// others gives the sources that are polled elsewhere, by name: those that are configured here, and those that only others know.
func (r *peers) others(configured []string) []admin.Source {
	sight := r.seen()
	if sight == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []admin.Source
	known := map[string]bool{}
	for _, name := range configured {
		known[name] = true
		if shard := store.ShardOf(name); sight.Owners[shard] != r.member.ID() {
			list = append(list, r.elsewhere(sight, shard, name))
		}
	}
	for shard, one := range r.reports {
		if owner := sight.Owners[shard]; owner == r.member.ID() || owner != one.by {
			continue
		}
		for name := range one.sources {
			if !known[name] {
				s := r.elsewhere(sight, shard, name)
				s.Note = strings.TrimSpace(s.Note + " (not configured here)")
				list = append(list, s)
			}
		}
	}
	slices.SortFunc(list, func(a, b admin.Source) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// other gives one of them; false when nobody knows it.
func (r *peers) other(configured []string, name string) (admin.Source, bool) {
	for _, s := range r.others(configured) {
		if s.Name == name {
			return s, true
		}
	}
	return admin.Source{}, false
}

// elsewhere gives a source of a shard that is not ours.
func (r *peers) elsewhere(sight *store.Sight, shard int, name string) admin.Source {
	owner, said := sight.Owners[shard], r.reports[shard]
	_, speaks := r.members[store.Name(owner)] // of a shard without sources there is nothing to report
	s, found := said.sources[name]
	if !found {
		s = admin.Source{Name: name, State: string(poller.Waiting)}
	}
	s.Member, s.Seen, s.Polling = owner, said.at, false
	s.Stale = !found || owner != said.by || time.Since(said.read) > reportStale
	switch {
	case owner == "":
		s.Note = "no replica owns it at the moment"
	case !found && (owner == said.by || speaks):
		s.Note = "its owner " + owner + " does not know it: it runs another configuration"
	case !found:
		s.Note = "its owner " + owner + " has not reported yet"
	}
	return s
}
