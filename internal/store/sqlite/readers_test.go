package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// many is a query that takes longer than anybody waits.
const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT max(i) FROM n`

func TestAQueryEndsWithItsContextAndTheConnectionIsGoodForTheNext(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "x.db"))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	err := s.read(ctx, func(q querier) error {
		var n int64
		return q.QueryRowContext(ctx, many).Scan(&n)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for range 2 * maxReaders {
		if _, err := s.Sources(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestAPanicInAReadLeavesTheOthersTheirConnections(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "x.db"))
	for range 2 * maxReaders {
		func() {
			defer func() { _ = recover() }()
			_ = s.read(t.Context(), func(querier) error { panic("x") })
		}()
	}
	if _, err := s.Sources(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNoMoreThanSomeReadAtTheSameTimeAndTheOthersWait(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "x.db"))
	free, reading := make(chan struct{}), make(chan error, maxReaders)
	inside := make(chan struct{}, maxReaders)
	for range maxReaders {
		go func() {
			reading <- s.read(t.Context(), func(querier) error {
				inside <- struct{}{}
				<-free
				return nil
			})
		}()
		<-inside
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.read(ctx, func(querier) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	close(free)
	for range maxReaders {
		if err := <-reading; err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Sources(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAConnectionThatNobodyNeedsIsGivenBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "x.db")})
		if err != nil {
			t.Fatal(err)
		}
		nested := func(q querier) error { return s.read(t.Context(), func(querier) error { return nil }) }
		if err := s.read(t.Context(), nested); err != nil {
			t.Fatal(err)
		}
		if n := s.readers.db.Stats().OpenConnections; n != 2 {
			t.Errorf("%d connections", n)
		}
		for range 10 {
			time.Sleep(readerIdle / 4)
			if _, err := s.Sources(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if n := s.readers.db.Stats().OpenConnections; n != 1 {
			t.Errorf("%d connections", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.Sources(t.Context()); !errors.Is(err, errClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestTheQueuesAreReadAgainOnlyAfterTheyChanged(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "x.db"))
	m, err := store.Own(t.Context(), s, "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pending := func() int64 {
		list, err := s.Queues(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return 0
		}
		return list[0].Pending
	}
	if n := pending(); n != 0 {
		t.Errorf("%d wait", n)
	}
	if _, err := m.Commit(t.Context(), oneChange(poller.State{}, 10)); err != nil {
		t.Fatal(err)
	}
	if n := pending(); n != 1 {
		t.Errorf("%d wait", n)
	}
	s.run(t, "UPDATE delivery SET state = 1") // nobody was told
	if n := pending(); n != 1 {
		t.Errorf("%d wait: they were read again", n)
	}
}
