package daemon_test

import (
	"strconv"
	"testing"
)

// The signature is over the batch: whoever verifies a single event verifies a batch.
func TestBatchesArriveSignedAndWhole(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"standard", "cloudevents-batch"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			b := setup(t, `{"items":[{"id":0}]}`, "", edit("[webhook.app]", "[webhook.app]\nformat = "+strconv.Quote(format)),
				edit("[store]", "[webhook.app.batch]\nmax_events = 40\n[store]"))
			b.baselined(t)
			b.api.set(`{"items":[` + records(101) + `]}`)
			until(t, "all records", func() bool { return len(b.receiver.Replica.Records("things")) == 100 })
			r := b.receiver.Replica.Report()
			if r.Batches != 3 || r.Events != 100 || r.Inversions != 0 {
				t.Errorf("received %+v", r)
			}
			for _, problem := range b.receiver.Problems() {
				t.Error(problem)
			}
			for _, request := range b.receiver.Requests() {
				if n := request.Header.Get("deltahook-batch"); n != "40" && n != "20" {
					t.Errorf("a batch of %q", n)
				}
			}
		})
	}
}
