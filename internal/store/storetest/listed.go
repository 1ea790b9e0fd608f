package storetest

import (
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// recordsListed pages through records whose keys sort by their bytes, whatever their length.
func recordsListed(w *world) {
	m := w.owner("a", shortTTL)
	keys := []string{"", "1", "10", "2", "B", "a", "a\x00", "aa", "b", "b\U0010ffff", "b\U0010ffffx", "c", "é"}
	var writes []poller.Write
	for _, key := range slices.Backward(keys) {
		one := w.record(key, "body of "+key)
		one.Missing = len(key)
		writes = append(writes, one)
	}
	w.commit(m, "contacts", writes...)
	other := w.record("a", "another a")
	other.Missing = 1
	w.commit(m, "orders", other)
	list := func(q store.RecordQuery) (got []string) {
		w.Helper()
		for {
			page, err := w.st.Records(w.ctx(), q)
			w.must(err)
			for _, r := range page {
				got = append(got, r.Key)
				w.equal("missing and body of a row", []int{r.Missing, len(r.Body)}, []int{len(r.Key), 0})
			}
			if len(page) < q.Limit {
				return got
			}
			q.After = page[len(page)-1].Key
		}
	}
	check := func() {
		w.Helper()
		w.equal("all but the empty key", list(store.RecordQuery{Source: "contacts", Limit: 2}), keys[1:])
		for _, prefix := range []string{"1", "a", "b", "b\U0010ffff", "x"} {
			want := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !strings.HasPrefix(key, prefix) })
			w.equal("those that begin with "+prefix, list(store.RecordQuery{Source: "contacts", Prefix: prefix, Limit: 2}), want)
		}
		w.equal("those of another source", list(store.RecordQuery{Source: "orders", Limit: 2}), []string{"a"})
		w.equal("those of an unknown source", list(store.RecordQuery{Source: "nothing", Limit: 2}), []string(nil))
	}
	check()
	m = w.restart("b")
	check()
	gone := w.record("a", "")
	gone.Remove = true
	w.commit(m, "contacts", gone)
	w.equal("those that begin with a, without a", list(store.RecordQuery{Source: "contacts", Prefix: "a", Limit: 2}), []string{"a\x00", "aa"})
}

func probeWrites(w *world) {
	w.must(w.st.Probe(w.ctx()))
	w.must(w.st.Probe(w.ctx()))
	w.must(w.st.Close())
	if err := w.st.Probe(w.ctx()); err == nil {
		w.Errorf("a closed store took a write")
	}
}
