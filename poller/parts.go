package poller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
)

var errNoPartitions = errors.New("the source that names the partitions has no baseline yet")

// putOff notes when a server that wants to be left alone may be asked again, and says whether it wants to.
func (w *walk) putOff(err error) bool {
	wait, ok := errors.AsType[*outbound.DeferredError](err)
	if ok && wait.Until.After(w.result.Until) {
		w.result.Until = wait.Until
	}
	return ok
}

// parts is what became of the partitions of one poll.
type parts struct {
	names   []string
	pending []string        // whose records are no news
	whole   map[string]bool // read to their end; the value says that there were no records
	waiting map[string]bool // of which not all details are there
	left    map[string]bool // of which not all details were asked for
	still   map[string]bool // read to what may not be their end, and not changed meanwhile
	broken  []brokenPart
	total   Poll // counts of all
	done    bool
	later   bool // the server wants to be left alone
}

// brokenPart is a partition that was not read completely.
type brokenPart struct {
	name string
	why  string
	err  error // why it failed; nil when it was not asked for
	read bool  // to its end all the same
}

// runAll reads the whole listing, or those of all partitions. Its error says that nothing of it can be used.
func (w *walk) runAll(ctx context.Context) error {
	if !w.p.source.Partitions.used() {
		return w.run(ctx)
	}
	names, err := w.p.partitionNames(ctx)
	if err != nil {
		return err
	}
	w.parts = &parts{names: names, pending: w.p.pendingPartitions(), whole: map[string]bool{}, waiting: map[string]bool{}, left: map[string]bool{}, still: map[string]bool{}}
	quiet, aimed := w.scan.quiet, w.values
	w.p.nextPartition = ""
	for _, name := range names {
		w.scan.quiet = quiet || slices.Contains(w.parts.pending, name)
		w.scan.formers = w.p.known.since(name)
		if why := w.stopped(); why != "" {
			w.parts.skip(name, why)
			if w.p.nextPartition == "" {
				w.p.nextPartition = name
			}
			continue
		}
		w.values = aimed
		w.followFromStart(name)
		if err := w.part(ctx, name); err != nil {
			return err
		}
	}
	w.scan.counts, w.scan.quiet, w.scan.changes, w.parts.done = w.parts.total, quiet, nil, true
	return w.parts.none()
}

// followFromStart asks for all of a partition that a cursor does not follow yet, or of which more or less is compared since an edit,
// however little of the others is asked for.
func (w *walk) followFromStart(name string) {
	known, c := w.p.known.state.Partitions, w.p.cursor
	if c == nil || w.reach.full || known != nil && slices.Contains(known.Followed, name) && w.p.known.edit() == nil {
		return
	}
	whole := reach{full: true, from: w.reach.begin, until: c.limit(w.result.At.Add(w.p.behind))}
	w.values.cursor, w.values.until, w.values.params = "", "", nil
	whole.fill(c, &w.values)
}

// stopped says why no more partitions are asked for; empty when they are.
func (w *walk) stopped() string {
	switch {
	case w.parts.later:
		return "the server wants to be left alone"
	case !w.hasTime():
		return "there was no time left for it (deadline)"
	}
	return ""
}

// part reads one partition. What it found counts when it was read to its end, and is taken back otherwise. Its error is that
// of the whole poll.
func (w *walk) part(ctx context.Context, name string) error {
	s := w.scan
	w.walker, w.asked, w.shown = newWalker(w.p.source.Pages), map[uint64]bool{}, map[uint64]int{}
	w.values.partition, w.pagesBefore = name, w.result.Pages
	s.begin(name)
	saved, left, failed := s.save(), s.details.countLeft(), s.details.countFailed()
	err := w.run(ctx)
	if err == nil && s.counts.Skipped > 0 && s.counts.Skipped == s.counts.Records {
		err = errors.New(s.skippedMessage())
	}
	if err == nil {
		err = s.last()
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	switch {
	case err != nil:
		if back := s.takeBack(saved); back != nil {
			return back
		}
		w.parts.later = w.putOff(err)
		w.parts.broken = append(w.parts.broken, brokenPart{name: name, why: w.p.opts.Secrets.Redact(err.Error()), err: err})
	default:
		if why := w.doubt(); why != "" {
			w.parts.broken = append(w.parts.broken, brokenPart{name: name, why: why, read: true})
			w.parts.still[name] = !w.shaken()
		} else {
			w.parts.whole[name] = s.counts.Records == 0
		}
	}
	w.parts.left[name] = s.details.countLeft() > left
	w.parts.waiting[name] = w.parts.left[name] || s.details.countFailed() > failed
	s.changes = nil
	w.parts.add(&s.counts)
	return nil
}

func (t *parts) skip(name, why string) { t.broken = append(t.broken, brokenPart{name: name, why: why}) }

func (t *parts) add(c *Poll) {
	t.total.Records += c.Records
	t.total.Created += c.Created
	t.total.Updated += c.Updated
	t.total.Skipped += c.Skipped
}

// none gives the error of the poll when no partition could be read.
func (t *parts) none() error {
	if len(t.broken) < len(t.names) || len(t.names) == 0 {
		return nil
	}
	if slices.ContainsFunc(t.broken, func(b brokenPart) bool { return b.read }) {
		return nil
	}
	first := t.broken[0]
	if wait, ok := errors.AsType[*outbound.DeferredError](first.err); ok {
		return wait
	}
	hint := nothingChanged
	if f, ok := errors.AsType[*fault](first.err); ok {
		hint = f.hint
	}
	return &fault{message: fmt.Sprintf("no partition could be read; %s: %s", first.name, first.why), hint: hint, cause: first.err}
}

// doubt names the partitions that were not read completely.
func (t *parts) doubt() string {
	if len(t.broken) == 0 {
		return ""
	}
	const named = 3
	var texts []string
	for _, b := range t.broken[:min(named, len(t.broken))] {
		texts = append(texts, fmt.Sprintf("%s (%s)", b.name, b.why))
	}
	text := fmt.Sprintf("%d of %d partitions were not read completely: %s", len(t.broken), len(t.names), strings.Join(texts, ", "))
	if more := len(t.broken) - named; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// unproven lists the unseen records of partitions that were not read completely: nothing is known of them.
func (w *walk) unproven() (map[differ.Hash]bool, error) {
	if w.parts == nil || len(w.parts.broken) == 0 {
		return nil, nil //nolint:nilnil // there are none
	}
	var unseen []differ.Hash
	w.scan.index.Unseen(func(h differ.Hash, _ differ.Print, _ int) bool {
		unseen = append(unseen, h)
		return true
	})
	broken := map[string]bool{}
	for _, b := range w.parts.broken {
		broken[b.name] = true
	}
	out := map[differ.Hash]bool{}
	err := w.each(unseen, func(h differ.Hash, key string, _ []byte) {
		if broken[partitionOf(key)] {
			out[h] = true
		}
	})
	return out, err
}

// each gives known records, as they are stored. The body is valid during the call only.
func (w *walk) each(hashes []differ.Hash, do func(h differ.Hash, key string, body []byte)) error {
	const batch = 512
	for part := range slices.Chunk(hashes, batch) {
		err := w.p.opts.Ledger.Bodies(w.scan.ctx, w.p.source.Name, part, func(h differ.Hash, key string, body []byte) error {
			do(h, key, body)
			return nil
		})
		if err != nil {
			return w.p.storeFault("missing records cannot be read", err)
		}
	}
	return nil
}

// proves says whether all of a list was read, so that what it lacks is not there: the one of a partition, or of a source without any
// when the name is empty.
func (w *walk) proves(partition string) bool {
	if w.parts == nil {
		return w.scan.proven
	}
	return w.reach.full && w.parts.isWhole(partition)
}

// doubts says whether a list was read to an end of which nothing proves that it is one, or has records that cannot be identified.
func (w *walk) doubts(partition string) bool {
	if w.parts == nil {
		return w.reach.full && !w.scan.proven && !w.shaken()
	}
	return w.reach.full && w.parts.still[partition]
}

// waitsFor says whether what a list lacks behind an edit may be there, and is no news then.
func (w *walk) waitsFor(partition string) bool {
	return w.doubts(partition) && len(w.p.known.since(partition)) > 0
}

// lacks says whether what a list lacks is not waited for since an edit. Where a list never proves that, it is to lack it twice.
func (w *walk) lacks(partition string) bool {
	return w.proves(partition) || w.doubts(partition) && !w.waitsFor(partition)
}

func (t *parts) isWhole(name string) bool {
	_, ok := t.whole[name]
	return ok
}

// wasRead says whether a partition was read to its end, whatever that proves.
func (t *parts) wasRead(name string) bool {
	return t.isWhole(name) || slices.ContainsFunc(t.broken, func(b brokenPart) bool { return b.read && b.name == name })
}

// emptied names a partition whose list is empty although more of its records are known than the guard lets go unseen; empty
// when there is none.
func (w *walk) emptied(deleted []differ.Hash) (name string, known int, err error) {
	conf := w.p.source.Guard
	if w.parts == nil || conf.Empty != "hold" || len(deleted) <= conf.MinDeletes {
		return "", 0, nil
	}
	lost := map[string]int{}
	if err := w.each(deleted, func(_ differ.Hash, key string, _ []byte) { lost[partitionOf(key)]++ }); err != nil {
		return "", 0, err
	}
	for _, name := range w.parts.names {
		if w.parts.whole[name] && lost[name] > conf.MinDeletes {
			return name, lost[name], nil
		}
	}
	return "", 0, nil
}

// followed lists the partitions that were read from their start, now or earlier, up to a watermark. A whole listing moves that on whatever
// lists it did not read.
func (t *parts) followed(was *PartitionState, full bool) []string {
	var names []string
	for _, name := range t.names {
		if was != nil && slices.Contains(was.Followed, name) && (!full || t.isWhole(name)) || !t.waiting[name] && t.isWhole(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// all says that none was left out.
func (t *parts) all() bool { return t == nil || len(t.broken) == 0 }

// remembers gives what is to be remembered of the partitions after the poll.
func (w *walk) remembers(proven bool) *PartitionState {
	t, p := w.parts, w.p
	was := p.known.state.Partitions
	if t == nil {
		if p.source.Partitions.used() {
			return was
		}
		return nil
	}
	now := &PartitionState{}
	if len(p.source.Partitions.Values) > 0 {
		now.Values = slices.Sorted(slices.Values(p.source.Partitions.Values))
	}
	if left := p.leftPartitions(); len(left) > 0 && !proven { // their records are still there
		now.Values = slices.Sorted(slices.Values(slices.Concat(now.Values, left)))
	}
	first := p.known.state.Baselined.IsZero()
	for _, name := range t.names {
		if (first || slices.Contains(t.pending, name)) && (w.scan.unfinished || !t.wasRead(name)) {
			now.Pending = append(now.Pending, name)
		}
	}
	slices.Sort(now.Pending)
	if p.cursor != nil {
		now.Followed = t.followed(was, w.reach.full)
		now.Followed = slices.DeleteFunc(now.Followed, func(name string) bool {
			return len(p.known.since(name)) > 0 && (t.left[name] || !t.wasRead(name))
		})
	}
	return now
}

func (s *PartitionState) equal(o *PartitionState) bool {
	if s == nil || o == nil {
		return s == o
	}
	return slices.Equal(s.Values, o.Values) && slices.Equal(s.Pending, o.Pending) && slices.Equal(s.Followed, o.Followed)
}

// savepoint is a scan before a partition.
type savepoint struct {
	spool                     spoolMark
	deleted, forgotten, exits int
	dropped                   map[differ.Hash]bool
}

// change is what was known of a record before a partition changed it in the index.
type change struct {
	known Known
	there bool
}

// begin starts the listing of a partition.
func (s *scan) begin(partition string) {
	s.partition, s.salt = partition, detailSalt(s.p.details)^partitionSalt(partition)
	s.page, s.seam = 0, newSeam(s.p.source.Pages)
	s.counts, s.repeated, s.keyless, s.endless = Poll{}, 0, nil, 0
	s.changes = []change{}
}

func (s *scan) save() savepoint {
	return savepoint{
		spool: s.spool.mark(), deleted: len(s.deleted), forgotten: len(s.forgotten), exits: s.exits, dropped: maps.Clone(s.dropped),
	}
}

// touch notes what is known of a record that is about to be changed in the index.
func (s *scan) touch(h differ.Hash) {
	if s.changes == nil {
		return
	}
	print, missing, ok := s.index.Get(h)
	s.changes = append(s.changes, change{Known{Hash: h, Print: print, Missing: missing}, ok})
}

// takeBack undoes what a partition has changed. Its records stay seen: they are there.
func (s *scan) takeBack(to savepoint) error {
	for _, c := range slices.Backward(s.changes) {
		if !c.there {
			s.index.Remove(c.known.Hash)
			continue
		}
		c.known.Print.Raw = s.p.known.unreadRaw(c.known.Print) // it is seen, but not read
		s.index.Set(c.known.Hash, c.known.Print)
		s.index.SetMissing(c.known.Hash, c.known.Missing)
	}
	s.pending, s.waiting = s.pending[:0], 0
	if s.details != nil {
		s.details.aside = nil
	}
	s.deleted, s.forgotten, s.exits, s.dropped = s.deleted[:to.deleted], s.forgotten[:to.forgotten], to.exits, to.dropped
	s.counts = Poll{Records: s.counts.Records}
	return s.spool.rollback(to.spool)
}
