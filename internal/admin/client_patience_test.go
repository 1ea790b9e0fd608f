package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

type silent struct{}

// RoundTrip takes the request and never answers.
func (silent) RoundTrip(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

func TestAnotherProgramAtThePortIsNoDaemon(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for _, c := range []struct {
		name    string
		answers http.HandlerFunc
		want    string // of the error; empty: healthy
		runs    bool
	}{
		{"ours", answer(200, "ready\n"), "", true},
		{"ours, not ready", answer(503, `{"detail":"the store does not answer"}`), "the store does not answer", true},
		{"a page", answer(200, "<h1>hi</h1>"), "another program answers there", false},
		{"no such page", answer(404, "404 page not found"), "another program answers there", false},
	} {
		s := httptest.NewServer(c.answers)
		err := NewClient(strings.TrimPrefix(s.URL, "http://"), "").Healthy(t.Context())
		s.Close()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) || errors.Is(err, ErrNotRunning) == c.runs {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAPortThatSaysNothingHoldsNoCommand(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := NewClient("127.0.0.1:9644", "")
		c.HTTP.Transport = silent{}
		began := time.Now()
		if err := c.Healthy(t.Context()); !errors.Is(err, ErrNotRunning) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it waited for %s", took)
		}
	})
}
