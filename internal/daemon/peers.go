package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/cluster"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// How often a replica looks at the others, and how old a report may be. What turned is reported at the next look; what has only moved
// on, like the time of the next poll, once in a while.
const (
	lookPeriod   = 2 * time.Second
	reportPeriod = time.Minute
	reportStale  = 3 * reportPeriod
)

// peers is what this process knows of those that share its store, and tells them. It is for people and alerts.
type peers struct {
	board  store.Board // nil: nobody can share the store
	member store.Member
	keeper *cluster.Keeper

	mu      sync.Mutex
	reports map[int]report
	newest  time.Time // of the reports that were read
	flushed map[int]flush
	seed    maphash.Seed
	members map[string]memberReport // of others, by name
	news    []parkedNews            // that nobody has heard yet
	last    string                  // what was said of ourselves
	own     flush                   // what was reported of ourselves
}

// parkedNews are events that another replica has parked.
type parkedNews struct {
	webhook, reason string
	count           int
	ids             []string
	last            time.Time
}

// report is what another replica said of the sources of a shard.
type report struct {
	by      string
	at      time.Time // by the store's clock
	read    time.Time // by ours
	sources map[string]admin.Source
}

// flush is what was reported of a shard that is ours.
type flush struct {
	at    time.Time
	state uint64
}

func newPeers(st store.Store, member store.Member, keeper *cluster.Keeper) *peers {
	r := &peers{member: member, keeper: keeper, reports: map[int]report{}, flushed: map[int]flush{}, members: map[string]memberReport{}, seed: maphash.MakeSeed()}
	if st.Shared() {
		r.board, _ = st.(store.Board)
	}
	return r
}

// seen gives who is there and who owns what; nil where nobody can share the store.
func (r *peers) seen() *store.Sight {
	if r.board == nil {
		return nil
	}
	return r.keeper.Seen()
}

// mine says whether a shard was ours at the last look: whoever has it does for all what one has to do.
func (r *peers) mine(shard int) bool {
	sight := r.seen()
	return sight == nil || sight.Owners[shard] == r.member.ID()
}

// list gives the replicas as people see them, and how many shards have no owner.
func (r *peers) list() (list []admin.Member, unowned int) {
	sight := r.seen()
	if sight == nil {
		return nil, 0
	}
	counts := map[string]int{}
	for _, owner := range sight.Owners {
		counts[owner]++
	}
	var self config.Version
	for i := range sight.Peers {
		if p := &sight.Peers[i]; p.ID == r.member.ID() {
			self = versionOf(&p.Info)
		}
	}
	for i := range sight.Peers {
		p := &sight.Peers[i]
		if !p.Info.Works && counts[p.ID] == 0 { // a command
			continue
		}
		m := admin.Member{
			ID: p.ID, Self: p.ID == r.member.ID(), Version: p.Info.Version, Started: p.Started, Shards: counts[p.ID], Config: p.Info.Config,
			Loaded: p.Info.Loaded, Rejected: p.Info.Rejected,
		}
		if p.Info.Config != "" && self.All != "" {
			m.Differs = versionOf(&p.Info).Differs(self)
		}
		for shard, duty := range duties() {
			if sight.Owners[shard] == p.ID {
				m.Keeps = append(m.Keeps, duty)
			}
		}
		slices.Sort(m.Keeps)
		list = append(list, m)
	}
	return list, counts[""]
}

// duties are what one replica does for all, by the shard whose owner does it.
func duties() map[int]string {
	return map[int]string{houseShard: "house", store.ShardOf(emitter.Own): "alerts"}
}

// houseShard is the shard whose owner keeps house.
const houseShard = 0

func versionOf(i *store.Info) config.Version { return config.Version{All: i.Config, Parts: i.Parts} }

// tell reports of our shards what has changed, and reads what others reported.
func (r *peers) tell(ctx context.Context, all []poller.Status, show func(poller.Status) admin.Source, own func() memberReport) error {
	sight := r.seen()
	if sight == nil || len(sight.Working()) < 2 {
		return nil
	}
	now := time.Now()
	reports, flushed, err := r.due(sight, all, show, now)
	if err != nil {
		return err
	}
	itself, err := json.Marshal(own())
	if err != nil {
		return err
	}
	if r.ownDue(itself, now) {
		reports = append(reports, store.Report{Part: memberPart + store.Name(r.member.ID()), Body: itself})
	}
	if err := r.board.Report(ctx, r.member.ID(), reports); err != nil {
		return err
	}
	r.mu.Lock()
	after := r.newest
	maps.Copy(r.flushed, flushed)
	r.mu.Unlock()
	if !after.IsZero() {
		after = after.Add(-reportPeriod / 4) // one that was written earlier may have become visible later
	}
	list, err := r.board.Reports(ctx, after)
	if err != nil {
		return err
	}
	return r.take(list, now)
}

// due makes the reports of the shards of which there is something to say.
func (r *peers) due(sight *store.Sight, all []poller.Status, show func(poller.Status) admin.Source, now time.Time) ([]store.Report, map[int]flush, error) {
	shards := map[int][]poller.Status{}
	for i := range all {
		if shard := store.ShardOf(all[i].Source); sight.Owners[shard] == r.member.ID() {
			shards[shard] = append(shards[shard], all[i])
		}
	}
	r.mu.Lock()
	was := maps.Clone(r.flushed)
	maps.DeleteFunc(was, func(shard int, _ flush) bool { return r.reports[shard].by != r.member.ID() }) // it was somebody else's since, or we had another ID
	r.mu.Unlock()
	var reports []store.Report
	flushed := map[int]flush{}
	for shard, list := range shards {
		state := r.stateOf(list)
		if old, told := was[shard]; told && old.state == state && now.Sub(old.at) < reportPeriod {
			continue
		}
		sources := make([]admin.Source, len(list))
		for i := range list {
			sources[i] = show(list[i])
		}
		body, err := json.Marshal(sources)
		if err != nil {
			return nil, nil, err
		}
		reports = append(reports, store.Report{Part: partOfShard(shard), Body: body})
		flushed[shard] = flush{at: now, state: state}
	}
	return reports, flushed, nil
}

// stateOf sums up what is reported as soon as it changes.
func (r *peers) stateOf(list []poller.Status) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	for i := range list {
		s := &list[i]
		for _, text := range []string{s.Source, string(s.State), string(s.Last.Verdict), s.Message} {
			_, _ = h.WriteString(text)
			_ = h.WriteByte(0)
		}
		if s.Hold != nil {
			_, _ = h.WriteString(s.Hold.Message)
			_ = h.WriteByte(bitOf(s.Hold.Release) + 2*bitOf(s.Hold.Discard))
		}
	}
	return h.Sum64()
}

func bitOf(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// ownDue says whether there is something new to report of ourselves; counters move all the time.
func (r *peers) ownDue(body []byte, now time.Time) bool {
	const period = 5 * lookPeriod
	r.mu.Lock()
	defer r.mu.Unlock()
	state := maphash.Bytes(r.seed, body)
	if state == r.own.state && now.Sub(r.own.at) < reportPeriod || now.Sub(r.own.at) < period {
		return false
	}
	r.own = flush{at: now, state: state}
	return true
}

const (
	shardPart  = "shard/"
	memberPart = "member/"
)

func partOfShard(shard int) string { return fmt.Sprintf("%s%03d", shardPart, shard) }

// take takes reports of others in.
func (r *peers) take(list []store.Report, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range list {
		if one.At.After(r.newest) {
			r.newest = one.At
		}
		if name, ok := strings.CutPrefix(one.Part, memberPart); ok {
			if err := r.takeMember(name, &one); err != nil {
				return err
			}
			continue
		}
		var shard int
		if _, err := fmt.Sscanf(one.Part, shardPart+"%d", &shard); err != nil || !r.reports[shard].at.Before(one.At) {
			continue
		}
		var sources []admin.Source
		if err := json.Unmarshal(one.Body, &sources); err != nil {
			return fmt.Errorf("report of %s about %s: %w", one.By, one.Part, err)
		}
		taken := report{by: one.By, at: one.At, read: now, sources: make(map[string]admin.Source, len(sources))}
		for i := range sources {
			taken.sources[sources[i].Name] = sources[i]
		}
		r.reports[shard] = taken
	}
	return nil
}

// takeMember takes in what another replica reports of itself; r.mu is held.
func (r *peers) takeMember(name string, one *store.Report) error {
	if one.By == r.member.ID() {
		return nil
	}
	var now memberReport
	if err := json.Unmarshal(one.Body, &now); err != nil {
		return fmt.Errorf("report of %s about itself: %w", one.By, err)
	}
	was, known := r.members[name]
	for webhook, sum := range now.Parked {
		more := sum.Count - was.Parked[webhook].Count
		if !known || more <= 0 { // what was before is told already, or was when it began anew
			continue
		}
		ids := sum.IDs[max(len(sum.IDs)-more, 0):]
		r.news = append(r.news, parkedNews{webhook: webhook, reason: sum.Reason, count: more, ids: ids, last: sum.Last})
	}
	r.members[name] = now
	return nil
}

// heard gives the sources of which others say how they are, and what was parked elsewhere since the last time.
func (r *peers) heard() ([]admin.Source, []parkedNews) {
	sight := r.seen()
	r.mu.Lock()
	defer r.mu.Unlock()
	news := r.news
	r.news = nil
	var list []admin.Source
	for shard, one := range r.reports {
		if owner := sight.Owners[shard]; owner == one.by && owner != r.member.ID() && time.Since(one.read) < reportStale {
			list = slices.AppendSeq(list, maps.Values(one.sources))
		}
	}
	return list, news
}

// said says whether the others know that of us already, and notes that they will.
func (r *peers) said(i *store.Info) bool {
	text := fmt.Sprint(r.member.ID(), *i)
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.last
	r.last = text
	return was == text
}

// agreed says whether all replicas run a configuration of this version, as far as is known.
func (r *peers) agreed(version string) bool {
	sight := r.seen()
	if sight == nil {
		return true
	}
	return !slices.ContainsFunc(sight.Peers, func(p store.Peer) bool { return p.Info.Works && p.Info.Config != version })
}
