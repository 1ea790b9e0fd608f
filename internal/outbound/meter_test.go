package outbound

import (
	"net/http"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

func TestTheMeterCountsAnswersAndWhatTheHostMadeThemWait(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		statuses := []int{503, 429, 200}
		ask := asker(NewHosts(nil), script(func(*http.Request) *http.Response {
			status := statuses[0]
			statuses = statuses[1:]
			if status == http.StatusTooManyRequests {
				return says(status, "", "Retry-After", "20")
			}
			return says(status, "[]")
		}), "https://erp.example.com/", nil)
		m := &Meter{}
		if _, err := ask(WithMeter(t.Context(), m)); err != nil {
			t.Fatal(err)
		}
		got := m.Traffic()
		if got.Requests() != 3 || len(got.Answers) != 3 || got.Answers[0] != (Answers{503, 1}) || got.Answers[1] != (Answers{429, 1}) || got.Answers[2] != (Answers{200, 1}) {
			t.Errorf("%+v", got)
		}
		waited(t, "for the host", got.Waited, 20*time.Second)
	})
}
