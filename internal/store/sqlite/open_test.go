package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/poller"
)

func newPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "deltahook.db")
}

func mustOpen(t *testing.T, o sqlite.Options) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustOwn(t *testing.T, s *sqlite.Store) store.Member {
	t.Helper()
	m, err := s.Join(t.Context(), "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Acquire(t.Context(), store.AllShards()); err != nil {
		t.Fatal(err)
	}
	return m
}

// change is a commit of n new records with an event for the webhook app, each with one body.
func change(s *sqlite.Store, st poller.State, n int, body string) poller.Commit {
	c := poller.Commit{Source: "contacts", Expect: st.Version, State: st}
	first := st.Sequence
	c.State.Sequence += int64(n)
	hasher := differ.NewHasher(s.Seed())
	c.Writes = func(yield func(poller.Write, error) bool) {
		for i := range int64(n) {
			key := fmt.Sprintf("k%d", first+i)
			e := &poller.Event{
				ID: fmt.Sprintf("evt_%d", first+i+1), Source: "contacts", Sequence: first + i + 1, Type: "contacts.created",
				Change: differ.Created, Key: key, At: time.Now(), Body: []byte(body), To: []poller.Copy{{Webhook: "app"}},
			}
			if !yield(poller.Write{Known: poller.Known{Hash: hasher.Key([]byte(key))}, Key: key, Body: []byte(body), Event: e}, nil) {
				return
			}
		}
	}
	return c
}

func mustLoad(t *testing.T, m store.Member) poller.State {
	t.Helper()
	st, err := m.Load(t.Context(), "contacts")
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func mustCommit(t *testing.T, s *sqlite.Store, m store.Member, n int) {
	t.Helper()
	if _, err := m.Commit(t.Context(), change(s, mustLoad(t, m), n, `{"id":1}`)); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreReadableByTheirOwnerOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no file modes")
	}
	path := newPath(t)
	s := mustOpen(t, sqlite.Options{Path: path})
	mustCommit(t, s, mustOwn(t, s), 1)
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", info.Name(), info.Mode())
		}
	}
}

func TestAnyPathNamesItsFile(t *testing.T) {
	for _, name := range []string{"a b.db", "wh?at#x=%20&mode=memory.db", "é'\";--.db"} {
		path := filepath.Join(t.TempDir(), name)
		s := mustOpen(t, sqlite.Options{Path: path})
		mustCommit(t, s, mustOwn(t, s), 1)
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatCannotBeOpenedSaysWhyAndWhatToDo(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := write("text.db", strings.Repeat("this is a letter, not a database. ", 100))
	cases := []struct {
		name     string
		path     string
		readOnly bool
		want     []string
	}{
		{"a folder that is missing", filepath.Join(dir, "none", "x.db"), false, []string{"create the folder " + filepath.Join(dir, "none")}},
		{"a folder that is a file", filepath.Join(text, "x.db"), false, []string{"is not a folder", "store.url"}},
		{"a file that is a folder", dir, false, []string{"this is a folder", "store.url"}},
		{"a folder to read", dir, true, []string{"this is a folder", "store.url"}},
		{"a text file", text, false, []string{text, "not a database", "point store.url at another file"}},
		{"a text file to read", text, true, []string{text, "not a database", "point store.url at another file"}},
		{"no file to read", filepath.Join(dir, "none.db"), true, []string{"none.db", "start deltahook run once"}},
		{"an empty file to read", write("empty.db", ""), true, []string{"empty.db", "start deltahook run once"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, err := sqlite.Open(t.Context(), sqlite.Options{Path: c.path, ReadOnly: c.readOnly})
			if err == nil {
				t.Fatal("opened", s.Close())
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Count(err.Error(), "store:") != 1 {
				t.Errorf("%q names its place more or less than once", err)
			}
		})
	}
}

func TestAnEmptyFileBecomesAStore(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, sqlite.Options{Path: path})
	mustCommit(t, s, mustOwn(t, s), 1)
}

func TestAReaderSeesTheStoreBesideADaemon(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, sqlite.Options{Path: path})
	m := mustOwn(t, s)
	mustCommit(t, s, m, 3)
	r := mustOpen(t, sqlite.Options{Path: path, ReadOnly: true})
	if r.Seed() != s.Seed() {
		t.Error("the reader has another seed")
	}
	for want := int64(3); want < 6; want++ {
		queues, err := r.Queues(t.Context())
		if err != nil || len(queues) != 1 || queues[0].Pending != want {
			t.Fatalf("queues %+v, %v, want %d pending", queues, err, want)
		}
		mustCommit(t, s, m, 1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Event(t.Context(), "evt_6"); err != nil {
		t.Errorf("after the daemon: %v", err)
	}
}

func TestAReaderChangesNothing(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, sqlite.Options{Path: path})
	mustCommit(t, s, mustOwn(t, s), 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := mustOpen(t, sqlite.Options{Path: path, ReadOnly: true})
	if _, err := r.Join(t.Context(), "reader", time.Minute); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("join: %v", err)
	}
	if _, err := r.Housekeep(t.Context(), store.Retention{}); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("housekeeping: %v", err)
	}
	if events, err := r.Events(t.Context(), store.EventQuery{}); err != nil || len(events) != 1 {
		t.Errorf("events %v, %v", events, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file was changed: %v", err)
	}
}

// What a crash leaves is a database with a log that nobody has written back.
func TestAReaderSeesWhatACrashLeft(t *testing.T) {
	path, copied := newPath(t), newPath(t)
	s := mustOpen(t, sqlite.Options{Path: path})
	mustCommit(t, s, mustOwn(t, s), 5)
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := mustOpen(t, sqlite.Options{Path: copied, ReadOnly: true})
	if events, err := r.Events(t.Context(), store.EventQuery{}); err != nil || len(events) != 5 {
		t.Fatalf("events %v, %v", events, err)
	}
}

func TestReadingGoesOnDuringALongCommit(t *testing.T) {
	s := mustOpen(t, sqlite.Options{Path: newPath(t)})
	m := mustOwn(t, s)
	mustCommit(t, s, m, 2)
	st, err := m.Load(t.Context(), "contacts")
	if err != nil {
		t.Fatal(err)
	}
	c := change(s, st, 10, `{}`)
	writes := c.Writes
	c.Writes = func(yield func(poller.Write, error) bool) {
		for w, err := range writes {
			if !yield(w, err) {
				return
			}
			now, err := m.Load(t.Context(), "contacts")
			if err != nil || now.Version != st.Version {
				t.Errorf("state %+v, %v", now, err)
			}
			list, err := m.Pending(t.Context(), emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "app"}, 0, 100)
			if err != nil || len(list) != 2 {
				t.Errorf("pending %d, %v", len(list), err)
			}
		}
	}
	if _, err := m.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestWaitingForTheWriterEndsWithTheContext(t *testing.T) {
	s := mustOpen(t, sqlite.Options{Path: newPath(t)})
	m := mustOwn(t, s)
	c := change(s, poller.State{}, 1, `{}`)
	writes := c.Writes
	c.Writes = func(yield func(poller.Write, error) bool) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := m.Ack(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("acknowledging during a commit: %v", err)
		}
		writes(yield)
	}
	if _, err := m.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestAClosedStoreSaysSo(t *testing.T) {
	s := mustOpen(t, sqlite.Options{Path: newPath(t)})
	m := mustOwn(t, s)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Heartbeat(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("writing: %v", err)
	}
	if _, err := s.Events(t.Context(), store.EventQuery{}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("reading: %v", err)
	}
}

func TestABackupIsAStore(t *testing.T) {
	s := mustOpen(t, sqlite.Options{Path: newPath(t)})
	mustCommit(t, s, mustOwn(t, s), 50)
	path := filepath.Join(t.TempDir(), "it's a backup.db")
	if err := s.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || (runtime.GOOS != "windows" && info.Mode().Perm() != 0o600) {
		t.Errorf("%v, %v", info, err)
	}
	if err := s.Backup(t.Context(), path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an old backup: %v", err)
	}
	b := mustOpen(t, sqlite.Options{Path: path})
	queues, err := b.Queues(t.Context())
	if err != nil || len(queues) != 1 || queues[0].Pending != 50 || b.Seed() != s.Seed() {
		t.Errorf("queues %+v, %v", queues, err)
	}
	mustCommit(t, b, mustOwn(t, b), 1)
}
