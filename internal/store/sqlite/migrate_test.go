package sqlite

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// What waits in a file of the first schema is neither lost nor merged after the upgrade.
func TestAFileOfTheFirstSchemaIsBroughtUpToDateWithWhatWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openTest(t, path)
	merge := func(string, []byte, bool) (poller.Merging, []byte) { return poller.Cancelled, nil }
	commitOne(t, s, 1, nil)
	for _, query := range undo() {
		s.run(t, query)
	}
	s.run(t, "PRAGMA user_version = 1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s, err := Open(t.Context(), Options{Path: path, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if said := log.String(); strings.Count(said, "\n") != 2 || !strings.Contains(said, "brought up to date") || !strings.Contains(said, "store migrated") {
		t.Errorf("the log says %s", said)
	}
	commitOne(t, s, 2, merge)
	rows, err := s.Deliveries(t.Context(), store.DeliveryQuery{State: store.StatePending})
	if err != nil || len(rows) != 2 {
		t.Errorf("pending: %+v, %v", rows, err)
	}
	records, err := s.Records(t.Context(), store.RecordQuery{Source: "contacts", Prefix: "k"})
	if err != nil || len(records) != 1 {
		t.Errorf("records: %+v, %v", records, err)
	}
}

// undo takes back what the migrations after the first have made.
func undo() []string {
	return []string{
		"DROP INDEX record_key", "ALTER TABLE record DROP COLUMN book", "DROP INDEX event_key",
		"DROP INDEX event_source", "DROP INDEX delivery_webhook", "DROP TABLE vault",
		"ALTER TABLE delivery DROP COLUMN since", "ALTER TABLE attempt DROP COLUMN request",
		"DROP INDEX delivery_batch", "ALTER TABLE delivery DROP COLUMN batch",
		"DROP INDEX delivery_loose", "ALTER TABLE delivery DROP COLUMN loose", "ALTER TABLE delivery DROP COLUMN merged_into",
	}
}

// commitOne commits an event of the record k for the webhook app.
func commitOne(t *testing.T, s *Store, sequence int64, merge func(string, []byte, bool) (poller.Merging, []byte)) {
	t.Helper()
	m, err := s.Join(t.Context(), "test", time.Minute)
	if err == nil {
		_, err = m.Acquire(t.Context(), store.AllShards())
	}
	if err != nil {
		t.Fatal(err)
	}
	e := &poller.Event{
		ID: "evt_" + string(rune('0'+sequence)), Source: "contacts", Sequence: sequence, Type: "contacts.updated", Change: differ.Updated,
		Key: "k", At: time.Now(), Body: []byte("{}"), To: []poller.Copy{{Webhook: "app", Merge: merge}},
	}
	_, err = m.Commit(t.Context(), poller.Commit{
		Source: "contacts", Expect: sequence - 1, State: poller.State{Sequence: sequence},
		Writes: func(yield func(poller.Write, error) bool) {
			yield(poller.Write{Known: poller.Known{Hash: differ.NewHasher(s.seed).Key([]byte("k"))}, Key: "k", Body: e.Body, Event: e}, nil)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}
