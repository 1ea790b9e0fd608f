package admin

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

type silent struct{}

// RoundTrip takes the request and never answers.
func (silent) RoundTrip(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

func TestAPortThatSaysNothingHoldsNoCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
