package poller

import "iter"

// Bounds of a stretch of what is made ahead, and from how many writes on that is worth a goroutine.
const (
	stretchWrites = 64
	stretchBytes  = 256 << 10
	manyWrites    = 2 * stretchWrites
)

// stretch is what goes from the one goroutine to the other at a time.
type stretch struct {
	writes []Write
	err    error
}

// ahead has writes made in a goroutine of their own while the store is busy with those before them. When the loop over the result ends,
// that goroutine has ended; when it panics, the loop does.
func ahead(writes iter.Seq2[Write, error]) iter.Seq2[Write, error] {
	return func(yield func(Write, error) bool) {
		stretches, stop := make(chan stretch, 1), make(chan struct{})
		var panicked any
		go func() {
			defer close(stretches)
			defer func() { panicked = recover() }()
			makeStretches(writes, stretches, stop)
		}()
		defer func() {
			close(stop)
			for range stretches { // until it has ended
				continue
			}
		}()
		for p := range stretches {
			for i := range p.writes {
				if !yield(p.writes[i], nil) {
					return
				}
			}
			if p.err != nil {
				yield(Write{}, p.err)
				return
			}
		}
		if panicked != nil {
			panic(panicked)
		}
	}
}

func makeStretches(writes iter.Seq2[Write, error], stretches chan<- stretch, stop <-chan struct{}) {
	var now stretch
	size := 0
	send := func() bool {
		select {
		case stretches <- now:
			now, size = stretch{}, 0
			return true
		case <-stop:
			return false
		}
	}
	for w, err := range writes {
		if err != nil {
			now.err = err
			break
		}
		now.writes = append(now.writes, w)
		size += len(w.Body)
		if w.Event != nil {
			size += len(w.Event.Body)
		}
		if (len(now.writes) == stretchWrites || size >= stretchBytes) && !send() {
			return
		}
	}
	send()
}

// beside runs both at the same time, and gives the first error. What the other goroutine panics with, the caller panics with.
func beside(here, there func() error) error {
	var err error
	var panicked any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		err = there()
	}()
	own := func() error {
		defer func() { <-done }()
		return here()
	}()
	if panicked != nil {
		panic(panicked)
	}
	if own != nil {
		return own
	}
	return err
}
