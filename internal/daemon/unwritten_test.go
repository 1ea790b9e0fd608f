package daemon_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// files tells all that can be seen of the files of a store: when they were written last, how long they are, what is in them.
func files(t *testing.T, path string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s %d %x\n", info.ModTime(), len(text), sha256.Sum256(text))
	}
	return all.String()
}

// What polls cost the disk of a small box when nothing changes: nothing, also when the list comes in another order.
func TestAPollInWhichNothingChangedWritesNoByte(t *testing.T) {
	t.Parallel()
	var records []string
	for i := range 2000 {
		records = append(records, fmt.Sprintf(`{"id":%d,"name":"Customer %d"}`, i, i))
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"items":[%s]}`, strings.Join(records, ","))
	}))
	defer api.Close()
	l, dir, secrets := newLoad(t), t.TempDir(), &setting.Secrets{}
	c, report := config.Parse([]config.File{{Path: "a.toml", Text: fmt.Appendf(nil, "[source.things]\nurl = %q\nevery = \"1h\"\n"+
		"records = \"items\"\nkey = \"id\"\ndeletes = { detect = \"scan\" }\n[webhook.app]\nurl = \"http://127.0.0.1:1/\"\nsecret = %q\n", api.URL, secret)}}, secrets)
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	p, err := poller.New(*c.Sources[0], poller.Options{
		Ledger: l.member, Outlet: daemon.TrialOutlet(c, l.st.Seed()), Secrets: secrets, Seed: l.st.Seed(), TempDir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	poll := func(want poller.Verdict) {
		t.Helper()
		if r := p.Poll(t.Context(), poller.Occasion{}); r.Verdict != want || r.Records != len(records) {
			t.Fatalf("%s, %d records: %s", r.Verdict, r.Records, r.Message)
		}
	}
	poll(poller.Complete)
	before := files(t, l.path)
	for range 3 {
		poll(poller.Unchanged)
		slices.Reverse(records)
	}
	if after := files(t, l.path); after != before {
		t.Errorf("the store was\n%s and is\n%s", before, after)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("temporary files: %v, %v", left, err)
	}
	records[7] = strings.Replace(records[7], "Customer", "Client", 1)
	poll(poller.Complete)
	if files(t, l.path) == before {
		t.Error("a change is not written either: the test sees nothing")
	}
}
