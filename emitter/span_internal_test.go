package emitter

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

func TestAttemptsOfASpanShareAContextUntilOneTakesTooLong(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		within := &span{parent: t.Context()}
		defer within.close()
		first := within.begin(time.Second)
		time.Sleep(900 * time.Millisecond)
		within.end()
		second := within.begin(time.Second)
		time.Sleep(900 * time.Millisecond)
		if second != first || second.Err() != nil {
			t.Fatal("the second attempt has less time than its own")
		}
		within.restart(200 * time.Millisecond)
		time.Sleep(300 * time.Millisecond)
		if second.Err() == nil {
			t.Fatal("the second attempt goes on for ever")
		}
		within.restart(time.Second)
		within.end()
		if third := within.begin(time.Second); third.Err() != nil {
			t.Error("an attempt that took too long ends the one after it")
		}
	})
}

func TestASignerSignsForManyAtOnce(t *testing.T) {
	s, err := NewSigner(SignOptions{Style: "standard", Keys: signingKeys(vectorSecret)})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(body string) string {
		h := http.Header{}
		if err := s.Sign(h, &Message{ID: "evt_1", At: time.Unix(1700000000, 0), Body: []byte(body)}); err != nil {
			t.Error(err)
		}
		return h[headerSignature][0]
	}
	bodies := []string{"{}", `{"a":1}`, ""}
	want := map[string]string{}
	for _, body := range bodies {
		fresh, err := NewSigner(SignOptions{Style: "standard", Keys: signingKeys(vectorSecret)})
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		if err := fresh.Sign(h, &Message{ID: "evt_1", At: time.Unix(1700000000, 0), Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
		want[body] = h[headerSignature][0]
	}
	var all sync.WaitGroup
	for _, body := range bodies {
		all.Go(func() {
			for range 200 {
				if got := sign(body); got != want[body] {
					t.Errorf("%s is signed %s, want %s", body, got, want[body])
					return
				}
			}
		})
	}
	all.Wait()
}
