package poller

import (
	"errors"
	"iter"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deltahook/deltahook/differ"
)

// keyedWrites yields n writes, then err or a panic, and counts down running when it has ended.
func keyedWrites(n int, err error, panics any, running *atomic.Int64) iter.Seq2[Write, error] {
	return func(yield func(Write, error) bool) {
		running.Add(1)
		defer running.Add(-1)
		for i := range n {
			if !yield(Write{Key: strconv.Itoa(i), Body: make([]byte, 1+i*7%5000)}, nil) {
				return
			}
		}
		if panics != nil {
			panic(panics)
		}
		if err != nil {
			yield(Write{}, err)
		}
	}
}

func TestWritesThatAreMadeAheadComeInOrderAndEndWithTheirError(t *testing.T) {
	for _, n := range []int{0, 1, stretchWrites - 1, stretchWrites, 10 * stretchWrites, 1000} {
		for _, want := range []error{nil, errors.New("no")} {
			var running atomic.Int64
			next := 0
			var got error
			for w, err := range ahead(keyedWrites(n, want, nil, &running)) {
				if got = err; err == nil && w.Key != strconv.Itoa(next) {
					t.Fatalf("%q came as number %d", w.Key, next)
				} else if err == nil {
					next++
				}
			}
			if next != n || !errors.Is(got, want) || running.Load() != 0 {
				t.Errorf("%d of %d writes, %v of %v, %d still run", next, n, got, want, running.Load())
			}
		}
	}
}

func TestWhatMakesWritesAheadHasEndedWhenNobodyWantsMore(t *testing.T) {
	var running atomic.Int64
	for w, err := range ahead(keyedWrites(100_000, nil, nil, &running)) {
		if w.Key == "70" || err != nil {
			break
		}
	}
	if running.Load() != 0 {
		t.Error("it still runs")
	}
}

func TestAPanicBesideAPollIsOneOfThePoll(t *testing.T) {
	var running atomic.Int64
	for name, f := range map[string]func(){
		"writes": func() {
			for _, err := range ahead(keyedWrites(70, nil, "boom", &running)) {
				if err != nil {
					return
				}
			}
		},
		"there": func() { _ = beside(func() error { return nil }, func() error { panic("boom") }) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v := recover(); v != "boom" {
					t.Errorf("%v came of it", v)
				}
			}()
			f()
		})
	}
}

func TestTheFirstErrorOfTwoThatRunBesideEachOtherCounts(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	for _, c := range [][3]error{{nil, nil, nil}, {a, nil, a}, {nil, b, b}, {a, b, a}} {
		if got := beside(func() error { return c[0] }, func() error { return c[1] }); !errors.Is(got, c[2]) {
			t.Errorf("%v and %v gave %v", c[0], c[1], got)
		}
	}
}

// The 300 changes go through every path that is for many: halves of stored bodies, and writes that are made ahead.
func TestManyChangesAreComparedEachWithItsOwnRecord(t *testing.T) {
	const n = 300
	shelf := newShelf()
	write := func(status string) {
		for i := range n {
			shelf.put(strconv.Itoa(i), status+strconv.Itoa(i))
		}
	}
	write("was ")
	r := newRig(t, shelf.ServeHTTP, nil)
	r.poll()
	write("is ")
	if got := r.poll(); got.Updated != n || got.Events != n {
		t.Fatalf("%d updated, %d events: %s", got.Updated, got.Events, got.Message)
	}
	for i, e := range r.outlet.handed {
		want := `"previous":{"status":"was ` + strconv.Itoa(i) + `"}`
		if e.Sequence != int64(i+1) || e.Key != strconv.Itoa(i) || e.Change != differ.Updated || !strings.Contains(string(e.Body), want) {
			t.Fatalf("event %d: %s", i, e.Body)
		}
	}
}
