package systemd

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestLinesHaveThePriorityOfTheirLevel(t *testing.T) {
	var out strings.Builder
	log := slog.New(Prioritized(&out, func(w io.Writer) slog.Handler {
		return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
	}))
	log = log.With("source", "crm").WithGroup("g")
	log.Debug("a")
	log.Info("b", "n", 1)
	log.Warn("c")
	log.Error("two\nlines")
	want := "<7>level=DEBUG msg=a source=crm\n<6>level=INFO msg=b source=crm g.n=1\n<4>level=WARN msg=c source=crm\n<3>level=ERROR msg=\"two\\nlines\" source=crm\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// A program that was started by a service, but writes into a file or a pipe, has the variable too.
func TestOnlyTheStreamThatTheJournalReadsGetsPriorities(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("systemd is on Linux")
	}
	journal, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = journal.Close() }()
	other, err := os.Create(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	info, err := journal.Stat()
	if err != nil {
		t.Fatal(err)
	}
	device, inode, ok := identity(info)
	if !ok {
		t.Fatal("no identity")
	}
	env := map[string]string{"JOURNAL_STREAM": fmt.Sprintf("%d:%d", device, inode)}
	if !ToJournal(lookup(env), journal) {
		t.Error("the journal is not known")
	}
	if ToJournal(lookup(env), other) || ToJournal(lookup(nil), journal) || ToJournal(lookup(map[string]string{"JOURNAL_STREAM": "x"}), journal) {
		t.Error("what is not the journal is taken for it")
	}
}
