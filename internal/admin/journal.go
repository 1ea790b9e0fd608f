package admin

import (
	"slices"
	"sync"
	"time"

	"github.com/deltahook/deltahook/poller"
)

// Bounds of a Journal.
const (
	maxPolls      = 200    // of one source
	minPolls      = 4      // of one source, however many sources there are
	maxPollsTotal = 40_000 // of all sources
	maxExcerpts   = 3      // of one source: excerpts are large
	hours         = 24
)

// Journal remembers in memory what nobody writes down, within bounds: each poll, also those that changed nothing, and how many
// changes each hour had. Its Stream tells it to those who watch. The zero value is ready; its methods may be called from any
// goroutine and never wait for a reader.
type Journal struct {
	Stream

	mu      sync.Mutex
	sources map[string]*diary
}

// diary is what is remembered of one source.
type diary struct {
	polls []poller.Poll // oldest first
	hours *[hours]tally // by hour of the epoch, modulo their number; nil: nothing changed yet, as in most of very many sources
}

// tally is how many changes an hour had.
type tally struct {
	hour                      int64 // of the epoch
	created, updated, deleted int
}

// Polled takes a poll in.
func (j *Journal) Polled(r *poller.Result) {
	j.note(r.Source, &r.Poll)
	j.send(itemOfPoll(r))
}

// Transition takes a change of a source's state in.
func (j *Journal) Transition(t *poller.Transition) {
	j.send(&Item{
		Kind: KindTransition, At: t.At, Source: t.Source, State: string(t.Turn), Message: t.Message, Failed: t.Turn == poller.Failing || t.Turn == poller.Halted,
	})
}

func (j *Journal) note(source string, p *poller.Poll) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := j.diary(source)
	most := min(max(maxPollsTotal/len(j.sources), minPolls), maxPolls)
	if drop := len(d.polls) + 1 - most; drop > 0 {
		d.polls = slices.Delete(d.polls, 0, drop)
	}
	if len(d.polls) == cap(d.polls) { // append would make room for more than there will ever be
		d.polls = append(make([]poller.Poll, 0, min(2*len(d.polls)+1, most)), d.polls...)
	}
	d.polls = append(d.polls, *p)
	d.forgetExcerpts()
	d.count(p)
}

func (j *Journal) knows(source string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sources[source] != nil
}

func (j *Journal) diary(source string) *diary {
	d := j.sources[source]
	if d == nil {
		if j.sources == nil {
			j.sources = map[string]*diary{}
		}
		d = &diary{}
		j.sources[source] = d
	}
	return d
}

// forgetExcerpts keeps the excerpts of the last polls that have one.
func (d *diary) forgetExcerpts() {
	kept := 0
	for i := range slices.Backward(d.polls) {
		p := &d.polls[i]
		if p.Excerpt == "" {
			continue
		}
		if kept++; kept > maxExcerpts {
			p.Excerpt = ""
			return // those before are gone already
		}
	}
}

// count adds the changes of a poll that was applied.
func (d *diary) count(p *poller.Poll) {
	if p.Quiet || p.Verdict != poller.Complete && p.Verdict != poller.Partial || p.Created+p.Updated+p.Deleted == 0 {
		return
	}
	hour := p.At.Unix() / 3600
	if d.hours == nil {
		d.hours = &[hours]tally{}
	}
	t := &d.hours[hour%hours]
	if t.hour > hour {
		return // this place is a later hour's by now
	}
	if t.hour != hour {
		*t = tally{hour: hour}
	}
	t.created, t.updated, t.deleted = t.created+p.Created, t.updated+p.Updated, t.deleted+p.Deleted
}

// Recall takes in what was written down of polls before this process: they count, but are not kept.
func (j *Journal) Recall(source string, polls []poller.Poll) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := j.diary(source)
	for i := range polls {
		d.count(&polls[i])
	}
}

// Polls gives the polls of a source that are remembered, newest first.
func (j *Journal) Polls(source string) []poller.Poll {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := j.sources[source]
	if d == nil {
		return nil
	}
	list := slices.Clone(d.polls)
	slices.Reverse(list)
	return list
}

// Hours gives the changes of the last 24 hours of a source, the current hour last.
func (j *Journal) Hours(source string, now time.Time) []Hour {
	list := make([]Hour, hours)
	j.mu.Lock()
	defer j.mu.Unlock()
	last, d := now.Unix()/3600, j.sources[source]
	for i := range list {
		hour := last - hours + 1 + int64(i)
		list[i].At = time.Unix(hour*3600, 0).UTC()
		if d == nil || d.hours == nil {
			continue
		}
		if t := d.hours[hour%hours]; t.hour == hour {
			list[i].Changes = Changes{Created: t.created, Updated: t.updated, Deleted: t.deleted}
		}
	}
	return list
}

// Day gives the changes of the last 24 hours of a source.
func (j *Journal) Day(source string, now time.Time) Changes { return sum(j.Hours(source, now)) }

// Keep forgets the sources that are not among the names.
func (j *Journal) Keep(names []string) {
	keep := make(map[string]bool, len(names))
	for _, name := range names {
		keep[name] = true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for name := range j.sources {
		if !keep[name] {
			delete(j.sources, name)
		}
	}
}
