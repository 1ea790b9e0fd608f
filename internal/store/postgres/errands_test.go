package postgres_test

import (
	"testing"
)

func TestAnErrandReachesWhoeverOwnsTheShardAndItsAnswerWhoAsked(t *testing.T) {
	s, db := open(t)
	first, err := s.Ask(t.Context(), 7, []byte("poll"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Ask(t.Context(), 8, []byte("pause"))
	if err != nil {
		t.Fatal(err)
	}
	asked := func(want int, shards ...int) {
		t.Helper()
		list, err := s.Asked(t.Context(), shards)
		if err != nil || len(list) != want {
			t.Fatalf("errands of %v: %+v, %v", shards, list, err)
		}
	}
	asked(2, 7, 8)
	asked(1, 8, 9)
	asked(0)
	collect := func(id int64, last bool, want string) {
		t.Helper()
		text, err := s.Collect(t.Context(), id, last)
		if err != nil || string(text) != want || want == "" && text != nil {
			t.Errorf("answer to %d: %q, %v", id, text, err)
		}
	}
	collect(first, false, "")
	if err := s.Answer(t.Context(), first, []byte("done")); err != nil {
		t.Fatal(err)
	}
	asked(0, 7)
	collect(first, false, "done")
	collect(first, false, "")
	collect(second, true, "") // nobody waits any more
	asked(0, 8)

	if _, err := s.Ask(t.Context(), 9, []byte("late")); err != nil {
		t.Fatal(err)
	}
	if err := server.Do(t.Context(), db.name, `UPDATE dh_errand SET asked_at = asked_at - interval '31 seconds'`); err != nil {
		t.Fatal(err)
	}
	asked(0, 9)
}
