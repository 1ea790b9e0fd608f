package daemon_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// BenchmarkLists measures what people look at in a store with many events of many sources; with -long it is a million of 5,000.
func BenchmarkLists(b *testing.B) {
	events, sources := 20_000, 100
	if *long {
		events, sources = 1_000_000, 5_000
	}
	l, journal := newLoad(b), &admin.Journal{}
	for i := range sources {
		name := fmt.Sprintf("source-%04d", i)
		l.commit(name, events/5/sources, 20, "app")
		for range 20 {
			journal.Polled(&poller.Result{Source: name, Poll: poller.Poll{At: time.Now(), Verdict: poller.Complete, Created: 1}})
		}
	}
	l.fill("big", events-events/5, 50_000, "app")
	live, stopped := admin.Lists{Store: l.st, Journal: journal}, admin.Offline{Lists: admin.Lists{Store: l.st}}
	middle, err := l.st.Events(l.Context(), store.EventQuery{Source: "big", Key: "700"})
	if err != nil || len(middle) == 0 {
		b.Fatal(err)
	}
	id, before := middle[0].ID, middle[len(middle)-1].Seq
	for name, look := range map[string]func(ctx context.Context) error{
		"events":               func(ctx context.Context) error { return second(live.Events(ctx, store.EventQuery{})) },
		"events in the middle": func(ctx context.Context) error { return second(live.Events(ctx, store.EventQuery{Before: before})) },
		"events of a source": func(ctx context.Context) error {
			return second(live.Events(ctx, store.EventQuery{Source: "source-0007"}))
		},
		"events of a record": func(ctx context.Context) error {
			return second(live.Events(ctx, store.EventQuery{Source: "big", Key: "700"}))
		},
		"one event":  func(ctx context.Context) error { return second(live.Event(ctx, id)) },
		"deliveries": func(ctx context.Context) error { return second(live.Deliveries(ctx, store.DeliveryQuery{})) },
		"deliveries of a webhook": func(ctx context.Context) error {
			return second(live.Deliveries(ctx, store.DeliveryQuery{Webhook: "app"}))
		},
		"deliveries of a record": func(ctx context.Context) error { return second(live.Deliveries(ctx, store.DeliveryQuery{Key: "700"})) },
		"parked": func(ctx context.Context) error {
			return second(live.Deliveries(ctx, store.DeliveryQuery{State: store.StateParked}))
		},
		"records": func(ctx context.Context) error {
			return second(live.Records(ctx, store.RecordQuery{Source: "big", Prefix: "3"}))
		},
		"why": func(ctx context.Context) error {
			return second(live.Story(ctx, admin.Source{Name: "big"}, "700", nil, nil))
		},
		"polls":           func(ctx context.Context) error { return second(live.Polls(ctx, "source-0007", 0)) },
		"activity of 100": func(ctx context.Context) error { return second(live.Activity(ctx, names(100))) },
		"status of all":   func(ctx context.Context) error { return second(stopped.Status(ctx)) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := look(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N), "ms/list")
		})
	}
}

func second[T any](_ T, err error) error { return err }

func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("source-%04d", i)
	}
	return list
}
