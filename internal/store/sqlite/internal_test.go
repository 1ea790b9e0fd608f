package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

func openTest(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// run executes SQL on the writer, outside of any transaction.
func (s *Store) run(t *testing.T, query string) {
	t.Helper()
	w := <-s.writer
	defer func() { s.writer <- w }()
	if _, err := w.conn.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

func TestAReleasedMigrationIsNeverChanged(t *testing.T) {
	released := []string{"9730a8f58e51f12a8bfea147cdfb755d229d24fa2d9d1cebef3178246782fc28"}
	for i, want := range released {
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(migrations()[i]))); got != want {
			t.Errorf("migration %d was changed (%s): add a step instead", i+1, got)
		}
	}
}

func TestAFileOfANewerVersionIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openTest(t, path)
	s.run(t, "PRAGMA user_version = 99")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{false, true} {
		_, err := Open(t.Context(), Options{Path: path, ReadOnly: readOnly})
		if err == nil || !strings.Contains(err.Error(), "newer version") || !strings.Contains(err.Error(), path) {
			t.Errorf("read-only %v: %v", readOnly, err)
		}
	}
}

func TestADatabaseOfAnotherProgramIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE letters(x); INSERT INTO letters VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{false, true} {
		if _, err := Open(t.Context(), Options{Path: path, ReadOnly: readOnly}); err == nil || !strings.Contains(err.Error(), "another program") {
			t.Errorf("read-only %v: %v", readOnly, err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed: %v", err)
	}
}

// oneChange is a commit of a record of the given size with its event.
func oneChange(st poller.State, size int) poller.Commit {
	c := poller.Commit{Source: "contacts", Expect: st.Version, State: st}
	c.State.Sequence++
	n := c.State.Sequence
	body := []byte(fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, n))))
	body = bytes.Repeat(body, size/len(body)+1)[:size]
	c.Writes = func(yield func(poller.Write, error) bool) {
		yield(poller.Write{Known: poller.Known{Hash: differ.Hash{byte(n)}}, Key: "k", Body: body, Event: &poller.Event{
			ID: fmt.Sprintf("evt_%d", n), Source: "contacts", Sequence: n, Type: "contacts.updated", Change: differ.Updated,
			Key: "k", At: time.Now(), Body: body, To: []poller.Copy{{Webhook: "app"}},
		}}, nil)
	}
	return c
}

// A transaction that another program leaves open must end in an error that says so, not in silence.
func TestADatabaseHeldByAnotherProgramSaysSo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openTest(t, path)
	s.run(t, "PRAGMA busy_timeout = 10")
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	other.SetMaxOpenConns(1)
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Join(t.Context(), "x", time.Hour); err == nil || !strings.Contains(err.Error(), "another program holds") {
		t.Errorf("got %v", err)
	}
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Join(t.Context(), "x", time.Hour); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestPathErrorsNameTheNextStep(t *testing.T) {
	cases := map[error]string{
		fs.ErrNotExist:   "create the folder /data",
		fs.ErrPermission: "run deltahook as the owner of /data",
		syscall.EROFS:    "mount /data writable",
		syscall.ENOTDIR:  "/data is not a folder",
		errors.New("x"):  "store: /data/x.db: open: x",
	}
	for cause, want := range cases {
		if got := pathError("/data/x.db", fmt.Errorf("open: %w", cause)).Error(); !strings.Contains(got, want) {
			t.Errorf("%v: %q does not say %q", cause, got, want)
		}
	}
}

func TestQueueLengthsAreCountedAnewAfterDoubt(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "x.db"))
	m, err := s.Join(t.Context(), "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Acquire(t.Context(), store.AllShards()); err != nil {
		t.Fatal(err)
	}
	for n := range int64(3) {
		if _, err := m.Commit(t.Context(), oneChange(poller.State{Version: n, Sequence: n}, 10)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			queues, err := s.Queues(t.Context())
			if err != nil || queues[0].Pending != n+1 {
				t.Errorf("queues %+v, %v", queues, err)
			}
			s.tallies.forget()
		}
	}
}

func TestAPanicInAWriteFreesTheWriter(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "x.db"))
	func() {
		defer func() { _ = recover() }()
		_ = s.write(t.Context(), func(context.Context, *tx) error { panic("x") })
	}()
	if _, err := s.Join(t.Context(), "x", time.Hour); err != nil {
		t.Error(err)
	}
}
