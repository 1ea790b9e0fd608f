package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
)

// dump writes down everything that can be seen of a source and of all deliveries. Two dumps are equal when nothing
// happened between them.
func (w *world) dump(m store.Member, source string) string {
	w.Helper()
	var b strings.Builder
	w.dumpSource(&b, m, source)
	w.dumpQueue(&b, m)
	w.dumpHistory(&b, source)
	return b.String()
}

func (w *world) dumpSource(b *strings.Builder, m store.Member, source string) {
	st := w.load(m, source)
	text, err := json.Marshal(st)
	w.must(err)
	fmt.Fprintf(b, "state v%d s%d n%d %s etag %q modified %q cursor %q\n", st.Version, st.Sequence, st.Records, text,
		st.Validators.ETag, st.Validators.LastModified, st.Cursor)
	var hashes []differ.Hash
	for _, k := range w.known(m, source) {
		fmt.Fprintf(b, "known %x %x %x missing %d\n", k.Hash, k.Print.Raw, k.Print.Canon, k.Missing)
		hashes = append(hashes, k.Hash)
	}
	var bodies []string
	w.must(m.Bodies(w.ctx(), source, hashes, func(hash differ.Hash, key string, body []byte) error {
		bodies = append(bodies, fmt.Sprintf("body %x %q %q", hash, key, body))
		return nil
	}))
	slices.Sort(bodies)
	fmt.Fprintln(b, strings.Join(bodies, "\n"))
}

func (w *world) dumpQueue(b *strings.Builder, m store.Member) {
	for _, d := range w.pending(m) {
		fmt.Fprintf(b, "pending %+v body %q\n", d, d.Body)
	}
	queues, err := w.st.Queues(w.ctx())
	w.must(err)
	fmt.Fprintf(b, "queues %+v\n", queues)
	gates, err := w.st.GateStates(w.ctx())
	w.must(err)
	fmt.Fprintf(b, "gates %+v\n", plain(gates)) // fmt sorts maps
}

func (w *world) dumpHistory(b *strings.Builder, source string) {
	events, err := w.st.Events(w.ctx(), store.EventQuery{Limit: 1 << 20})
	w.must(err)
	for _, e := range events {
		whole, err := w.st.Event(w.ctx(), e.ID)
		w.must(err)
		fmt.Fprintf(b, "event %+v body %q\n", e, whole.Body)
	}
	for _, d := range w.deliveries(store.DeliveryQuery{Limit: 1 << 20}) {
		attempts, err := w.st.Attempts(w.ctx(), d.EventID, d.Webhook)
		w.must(err)
		fmt.Fprintf(b, "delivery %+v attempts %+v\n", d, attempts)
	}
	polls, err := w.st.Polls(w.ctx(), source, 1000)
	w.must(err)
	fmt.Fprintf(b, "polls %+v\n", polls)
}

// unchanged compares two dumps and shows the first line in which they differ.
func (w *world) unchanged(what, before, after string) {
	w.Helper()
	if before == after {
		return
	}
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for i := range max(len(a), len(b)) {
		was, is := line(a, i), line(b, i)
		if was != is {
			w.Fatalf("%s changed the store:\nwas %s\nis  %s", what, was, is)
		}
	}
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}
