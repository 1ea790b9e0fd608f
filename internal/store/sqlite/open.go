package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	modernc "modernc.org/sqlite"

	"github.com/deltahook/deltahook/internal/store/stored"
)

// The page caches of the connections in KiB; they are filled only when there is something to fill them with.
const (
	writerCache = 10 << 10
	readerCache = 2 << 10
)

// Up to this size a file is checked as a whole when it is opened for writing; that takes some tens of milliseconds.
const quickCheckSize = 8 << 20

// Open opens the store at o.Path and brings its schema up to date; a new file is made, readable by its owner only.
// Without ReadOnly it takes the single-instance lock: a *LockedError says who has it.
func Open(ctx context.Context, o Options) (*Store, error) {
	path, err := behindLinks(o.Path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	codec, err := stored.NewCodec()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{path: path, log: o.Log, now: o.Now, bodies: codec, tables: newTables()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	db, err := s.connect("ro", readerCache)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	s.readers = newReaders(db)
	begin := s.beginWriting
	if o.ReadOnly {
		begin = s.beginReading
	}
	if err := begin(ctx); err != nil {
		return nil, errors.Join(s.place(err), s.Close())
	}
	return s, nil
}

// behindLinks gives the absolute path of the file that a path leads to, whether it is there yet or not. A link to a store is another
// name of it; with a lock of its own two processes would work on one file.
func behindLinks(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	const most = 40 // as in Linux
	for range most {
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil //nolint:nilerr // it is no link
		}
		if !filepath.IsAbs(target) {
			dir, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return "", err
			}
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return "", &placedError{path: path, err: errors.New("too many symbolic links"), hint: "name the file itself in store.url"}
}

func (s *Store) beginReading(ctx context.Context) error {
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return &placedError{path: s.path, err: err, hint: "start deltahook run once, or check store.url"}
	}
	if err := plainFile(s.path, info, err); err != nil {
		return err
	}
	if err := s.foreignLog(); err != nil {
		return err
	}
	return s.read(ctx, func(q querier) error {
		version, err := schemaVersion(ctx, q)
		if err != nil {
			return err
		}
		if version < len(migrations()) {
			return fmt.Errorf("the file has schema %d, this deltahook needs %d: start deltahook run once to bring it up to date", version, len(migrations()))
		}
		return s.loadSeed(ctx, q)
	})
}

func (s *Store) beginWriting(ctx context.Context) (err error) {
	if s.lock, err = acquireLock(s.path, s.now()); err != nil {
		return err
	}
	created, err := s.create()
	if err != nil {
		return err
	}
	if err := s.foreignLog(); err != nil {
		return err
	}
	if err := s.recognise(ctx); err != nil {
		return err
	}
	db, err := s.connect("rw", writerCache, "auto_vacuum(2)", "journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)",
		fmt.Sprintf("wal_autocheckpoint(%d)", walMost), "journal_size_limit(67108864)")
	if err != nil {
		return err
	}
	w, err := newWriter(ctx, db)
	if err != nil {
		return s.explain(err)
	}
	s.writer = make(chan *writer, 1)
	s.writer <- w
	if err := s.prepare(ctx, created); err != nil {
		return err
	}
	if err := s.remember(); err != nil {
		return err
	}
	s.log.DebugContext(ctx, "store opened", "path", s.path, "new", created)
	return nil
}

// prepare makes an opened database ready for use.
func (s *Store) prepare(ctx context.Context, created bool) error {
	if err := s.migrate(ctx); err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, t *tx) error {
		if !created {
			if err := s.quickCheck(ctx, t); err != nil {
				return err
			}
		}
		if err := buryMembers(ctx, t); err != nil {
			return err
		}
		return s.loadSeed(ctx, t)
	})
}

// recognise refuses a file that is not ours before anything in it is changed: to connect for writing would change the kind
// of its journal.
func (s *Store) recognise(ctx context.Context) error {
	err := s.read(ctx, func(q querier) error {
		_, err := schemaVersion(ctx, q)
		return err
	})
	if hotJournal(err) {
		return s.rollBack(ctx)
	}
	return err
}

// rollBack takes back what a crash left half written in a file that has no WAL yet. Readers cannot do that, and whoever opens
// the file for writing does it.
func (s *Store) rollBack(ctx context.Context) error {
	db, err := s.connect("rw", readerCache)
	if err != nil {
		return err
	}
	_, err = schemaVersion(ctx, db)
	return errors.Join(s.explain(err), db.Close())
}

// create makes the file when there is none, before SQLite would do it with wider permissions. It must not open one that
// is there: closing it again would drop the locks that SQLite has on it elsewhere in this process.
func (s *Store) create() (bool, error) {
	if err := s.orphan(); err != nil {
		return false, err
	}
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		adopt(s.path+".lock", s.path)
		info, err := os.Stat(s.path)
		return false, plainFile(s.path, info, err)
	}
	if err != nil {
		return false, pathError(s.path, err)
	}
	if err := f.Close(); err != nil {
		return false, pathError(s.path, err)
	}
	dir := filepath.Dir(s.path)
	adopt(s.path, dir)
	adopt(s.path+".lock", dir)
	return true, nil
}

// orphan refuses to make a new file beside the log of one that was removed or moved away: SQLite would delete what is in it.
func (s *Store) orphan() error {
	if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
		return nil // or the next one says it better
	}
	wal := s.path + "-wal"
	if info, err := os.Stat(wal); err == nil && info.Size() > 0 {
		return &placedError{
			path: s.path, err: fmt.Errorf("the file is missing, and what was committed last stands in %s beside it", filepath.Base(wal)),
			hint: "put the file back; or, to start anew with a baseline or with a backup, remove that one and -shm",
		}
	}
	return nil
}

// foreignLog refuses a backup that was put beside the log of the store that was there before: SQLite would write what stands in the log
// into it. A store in use says in its header that it has a log, a copy made by VACUUM says that it has none until it is opened
// (https://sqlite.org/fileformat2.html, file format version numbers). Nothing of this process has the file open yet, see create.
func (s *Store) foreignLog() error {
	wal := s.path + "-wal"
	if info, err := os.Stat(wal); err != nil || info.Size() == 0 {
		return nil //nolint:nilerr // there is none, or SQLite says it better
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil //nolint:nilerr // SQLite says it better
	}
	const versions = 18 // for writing and for reading
	var header [versions + 2]byte
	_, err = io.ReadFull(f, header[:])
	if err := errors.Join(err, f.Close()); err != nil || header[versions] != 1 || header[versions+1] != 1 {
		return nil //nolint:nilerr // it is too short
	}
	return &placedError{
		path: s.path, err: fmt.Errorf("the file is a backup, and %s beside it is the log of the store that was here before", filepath.Base(wal)),
		hint: "to go on from the backup, remove that one and -shm",
	}
}

func plainFile(path string, info fs.FileInfo, err error) error {
	if err == nil && info.IsDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return pathError(path, err)
	}
	return nil
}

// quickCheck looks at every page of a small file; damage in a large one is found where it is met.
func (s *Store) quickCheck(ctx context.Context, q querier) error {
	info, err := os.Stat(s.path)
	if err != nil || info.Size() > quickCheckSize {
		return err
	}
	var verdict string
	if err := q.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return &placedError{path: s.path, err: errors.New(strings.TrimSpace(verdict)), hint: damagedHint}
	}
	return nil
}

func (s *Store) loadSeed(ctx context.Context, q querier) error {
	var seed []byte
	if err := q.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'seed'`).Scan(&seed); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	if len(seed) != len(s.seed) {
		return fmt.Errorf("seed: %d bytes instead of %d: %s", len(seed), len(s.seed), damagedHint)
	}
	copy(s.seed[:], seed)
	return nil
}

// connect makes a pool of connections to the database. Temporary data stays in memory: the file system may be read-only.
func (s *Store) connect(mode string, cache int, pragmas ...string) (*sql.DB, error) {
	values := url.Values{"mode": {mode}, "_error_rc": {"1"}, "_pragma": {
		"busy_timeout(5000)", "temp_store(MEMORY)", fmt.Sprintf("cache_size(-%d)", cache),
	}}
	values["_pragma"] = append(values["_pragma"], pragmas...)
	connector, err := modernc.NewConnector(fileURI(s.path) + "?" + values.Encode())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// fileURI writes an absolute path as SQLite reads it back.
func fileURI(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	return "file://" + (&url.URL{Path: path}).EscapedPath()
}
