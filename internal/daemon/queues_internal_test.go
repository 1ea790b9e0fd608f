package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/store"
)

// awayReader is a store whose database is away now and then.
type awayReader struct {
	store.Reader

	away atomic.Bool
}

func (r *awayReader) Queues(context.Context) ([]store.Queue, error) {
	if r.away.Load() {
		return nil, errors.New("connection refused")
	}
	return nil, nil
}

func TestADatabaseThatIsAwayForHoursIsOneLineForTheQueuesAndOneWhenItIsBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := &awayReader{}
		q := newQueues(r, nil, slog.New(slog.NewTextHandler(&log, nil)), &pulse{})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go q.watch(ctx)
		r.away.Store(true)
		time.Sleep(5 * time.Hour)
		r.away.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		lost, back := bytes.Count(log.Bytes(), []byte("cannot read the queues")), bytes.Count(log.Bytes(), []byte("can be read again"))
		if lost != 1 || back != 1 {
			t.Errorf("it is said %d times that the queues cannot be read, and %d times that they can again", lost, back)
		}
	})
}
