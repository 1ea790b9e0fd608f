package daemon

import (
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

func TestWhatWasDueSinceTheFormerOwnerLetGoIsDueNow(t *testing.T) {
	now := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	source := func(every time.Duration, cron, onStart string) *poller.Source {
		s := poller.DefaultSource()
		s.Every, s.Cron, s.OnStart = setting.Duration(every), cron, onStart
		return &s
	}
	for name, c := range map[string]struct {
		source *poller.Source
		idle   time.Duration
		want   time.Duration // before now; 0: as at a start
	}{
		"one that is polled often":                    {source(20*time.Second, "", "now"), 3 * time.Second, 3*time.Second + overlap},
		"one that is polled rarely may have been cut": {source(time.Hour, "", "now"), 3 * time.Second, 3*time.Second + 10*time.Minute},
		"a time of the day":                           {source(0, "0 3 * * *", "now"), 3 * time.Second, 3*time.Second + 10*time.Minute},
		"one whose owner has died":                    {source(20*time.Second, "", "now"), 10 * time.Second, 30 * time.Second},
		"one whose owner has died, less often":        {source(5*time.Minute, "", "now"), 10 * time.Second, 40 * time.Second},
		"after a long time, in its phase":             {source(20*time.Second, "", "now"), 2 * time.Minute, 2*time.Minute + 20*time.Second},
		"after a long time that is less than once":    {source(time.Hour, "", "now"), 2 * time.Minute, time.Hour},
		"after a long time, that waits at a start":    {source(time.Hour, "", "schedule"), 2 * time.Minute, 0},
		"after a long time, a time of the day":        {source(0, "0 3 * * *", "now"), 2 * time.Minute, 0},
	} {
		got := sinceOf(c.source, now.Add(-c.idle), now, 10*time.Second)
		if c.want == 0 && !got.IsZero() || c.want > 0 && !got.Equal(now.Add(-c.want)) {
			t.Errorf("%s: since %s, not %s ago", name, got, c.want)
		}
	}
}
