package admin_test

import (
	"context"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

// asked is a store that notes what it is asked for.
type asked struct {
	store.Reader
	surveyed, dropped store.DeliveryQuery
}

func (a *asked) Survey(_ context.Context, q store.DeliveryQuery) ([]store.Sum, error) {
	a.surveyed = q
	return nil, nil
}

func (a *asked) Replay(context.Context, store.DeliveryQuery, time.Duration) (int, error) {
	return 0, nil
}

func (a *asked) Drop(_ context.Context, q store.DeliveryQuery, _ string) (int, error) {
	a.dropped = q
	return 0, nil
}

func TestADropAsksForTheSameDeliveriesAsItsPlan(t *testing.T) {
	for _, state := range []string{"", store.StateParked, store.StateDelivered} {
		a := &asked{}
		c := admin.Change{Kind: admin.Drop, Query: store.DeliveryQuery{Webhook: "app", State: state}}
		if _, err := (admin.Lists{Store: a}).Apply(t.Context(), c, a); err != nil {
			t.Fatal(err)
		}
		if a.surveyed != a.dropped || a.dropped.State != store.StateParked {
			t.Errorf("state %q: planned %+v, done %+v", state, a.surveyed, a.dropped)
		}
	}
}
