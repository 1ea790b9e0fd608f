package storetest

import (
	"fmt"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

func identityTests() []test {
	return []test{
		{"id and bytes of a delivery are the same on every read, retry, restart, take-over and replay", bytesStay},
		{"each webhook gets its own bytes", ownBytes},
		{"two events cannot have one id", oneID},
		{"a number that was given to an event is never given again", numbersStay},
		{"an event shows the bytes and facts that were committed", eventShown},
	}
}

// hardBodies are bytes that a decoder and encoder would not give back.
func hardBodies() []string {
	return []string{
		`{"big":9007199254740993,"price":1.10,"exp":1E+02,"neg":-0}`,
		"{\"sep\":\"\u2028\u2029\",\"html\":\"<>&\",\"esc\":\"\\u003c\\/\"}",
		"{\"twice\":1,\"twice\":2,  \"space\" :\t[ ]\n}\r\n",
		"not json at all \x00\xff\xfe \xed\xa0\x80",
		" ",
		`{"long":"` + fmt.Sprintf("%04000d", 7) + `"}`,
	}
}

// hardNews is an event for each hard body, with a custom body for the webhook "own".
func hardNews(w *world) []poller.Write {
	var writes []poller.Write
	for i, body := range hardBodies() {
		one := w.news("contacts", int64(i+1), fmt.Sprintf("k%d \xff\x00<é>", i), "app", "own")
		one.Event.Body = []byte(body)
		one.Event.To[1].Body = []byte(body + "\x00own")
		writes = append(writes, one)
	}
	return writes
}

func bytesStay(w *world) {
	m := w.owner("a", shortTTL)
	writes := hardNews(w)
	w.commit(m, "contacts", writes...)
	check := func() {
		w.Helper()
		all := w.pending(m)
		w.equal("pending", len(all), 2*len(writes))
		for i, d := range all {
			e := writes[i%len(writes)].Event
			want := string(e.Body)
			if d.Webhook == "own" {
				want += "\x00own"
			}
			if string(d.Body) != want {
				w.Fatalf("body of %s for %s is %q, committed was %q", d.ID, d.Webhook, d.Body, want)
			}
			w.equal("facts", []any{d.ID, d.Source, fmt.Sprintf("%q", d.Key), d.Type, d.Sequence, d.At, d.Seq},
				[]any{e.ID, e.Source, fmt.Sprintf("%q", e.Key), e.Type, e.Sequence, e.At, e.Seq})
		}
	}
	check()
	for _, d := range w.pending(m) {
		w.must(m.Retry(w.ctx(), d.Ref, failedAttempt(1), noon()))
	}
	check()
	m = w.restart("b")
	check()
	m = w.owner("b", shortTTL)
	m = w.takeOver("c")
	check()
	w.settleAll(m)
	n, err := m.Replay(w.ctx(), store.DeliveryQuery{}, 0)
	w.must(err)
	w.equal("replayed", n, 2*len(writes))
	check()
}

// settleAll acknowledges, parks or drops what is pending, in turn.
func (w *world) settleAll(m store.Member) {
	w.Helper()
	for i, d := range w.pending(m) {
		if i%3 == 0 {
			w.ack(m, d)
			continue
		}
		w.must(m.Park(w.ctx(), d.Ref, "given up", nil))
		if i%3 == 2 {
			_, err := m.Drop(w.ctx(), store.DeliveryQuery{EventID: d.ID, Webhook: d.Webhook}, "dropped by ann")
			w.must(err)
		}
	}
	w.equal("pending", len(w.pending(m)), 0)
}

func ownBytes(w *world) {
	m := w.owner("a", longTTL)
	one := w.news("contacts", 1, "k", "app", "crm", "erp")
	one.Event.To[1].Body = []byte("for crm")
	one.Event.To[2].Body = []byte("for erp")
	w.commit(m, "contacts", one)
	var got []string
	for _, d := range w.pending(m) {
		got = append(got, d.Webhook+": "+string(d.Body))
	}
	w.equal("bodies", got, []string{"app: " + string(one.Event.Body), "crm: for crm", "erp: for erp"})
}

func oneID(w *world) {
	m := w.owner("a", longTTL)
	st := w.commit(m, "contacts", w.some("contacts", 1, 2, "app")...)
	before := w.dump(m, "contacts")
	again := w.news("contacts", 3, "k", "app")
	again.Event.ID = "evt_contacts_000001"
	if _, err := m.Commit(w.ctx(), poll("contacts", st, again)); err == nil {
		w.Errorf("an id was given twice")
	}
	w.unchanged("a refused commit", before, w.dump(m, "contacts"))
}

func numbersStay(w *world) {
	m := w.owner("a", shortTTL)
	writes := w.some("contacts", 1, 10, "app")
	w.commit(m, "contacts", writes...)
	w.ack(m, w.pending(m)...)
	w.sweep(noon().AddDate(1, 0, 0), time.Time{})
	events, err := w.st.Events(w.ctx(), store.EventQuery{})
	w.must(err)
	w.equal("events", len(events), 0)
	m = w.restart("b")
	next := w.some("contacts", 11, 1, "app")
	w.commit(m, "contacts", next...)
	if last := writes[9].Event.Seq; next[0].Event.Seq <= last {
		w.Fatalf("event number %d after %d", next[0].Event.Seq, last)
	}
}

func eventShown(w *world) {
	m := w.owner("a", longTTL)
	writes := hardNews(w)
	writes[0].Event.To = nil // nobody wants it: still an event
	w.commit(m, "contacts", writes...)
	for _, one := range writes {
		e := one.Event
		got, err := w.st.Event(w.ctx(), e.ID)
		w.must(err)
		if string(got.Body) != string(e.Body) || got.Key != e.Key {
			w.Fatalf("event %s: %+v", e.ID, got)
		}
		w.equal("facts", []any{got.Seq, got.ID, got.Source, got.Sequence, got.Type, got.At},
			[]any{e.Seq, e.ID, e.Source, e.Sequence, e.Type, e.At})
	}
	w.equal("deliveries", len(w.deliveries(store.DeliveryQuery{})), 2*len(writes)-2)
	w.equal("lanes", w.lanes(m), []emitter.Lane{
		{Shard: store.ShardOf("contacts"), Webhook: "app"}, {Shard: store.ShardOf("contacts"), Webhook: "own"},
	})
}
