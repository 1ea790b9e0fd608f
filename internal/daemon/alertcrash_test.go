package daemon_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

// database gives where the store is.
func (w *ward) database() string {
	_, path, _ := strings.Cut(w.text, "sqlite:")
	path, _, _ = strings.Cut(path, `"`)
	return filepath.FromSlash(path)
}

// keepAt lets the next start find its store at another path.
func (w *ward) keepAt(path string) {
	w.text = strings.Replace(w.text, filepath.ToSlash(w.database()), filepath.ToSlash(path), 1)
}

// crash starts another daemon on what a store has at this moment. What the former one tells as it stops nobody hears.
func (w *ward) crash() {
	w.t.Helper()
	left := filepath.Join(w.t.TempDir(), "deltahook.db")
	for _, suffix := range []string{"", "-wal"} {
		bytes, err := os.ReadFile(w.database() + suffix)
		if err == nil {
			err = os.WriteFile(left+suffix, bytes, 0o600)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	w.set("ops", true)
	w.stop()
	w.set("ops", false)
	w.keepAt(left)
	w.start()
}

// once gives the events about something that happens once, as ops got them.
func (w *ward) once() (list []string) {
	w.t.Helper()
	for _, r := range w.hooks["ops"].Requests() {
		var one told
		if err := json.Unmarshal(r.Body, &one); err != nil {
			w.t.Fatal(err)
		}
		list = append(list, strings.TrimPrefix(one.Type, "deltahook.")+" "+one.Data.Key)
	}
	slices.Sort(list)
	return list
}

func (w *ward) expect(when string, want ...string) {
	w.t.Helper()
	if got := w.once(); !slices.Equal(got, want) {
		w.t.Errorf("%s: told %q, want %q", when, got, want)
	}
}

// P12: an event that waits for a person is told of although the daemon is killed before the minute is over.
func TestEventsThatWereParkedBeforeACrashAreToldOfOnce(t *testing.T) {
	t.Parallel()
	inWard(t, "", func(w *ward) {
		w.hooks["app"].Set(func(rw http.ResponseWriter, _ *http.Request, _ int) bool {
			rw.WriteHeader(http.StatusUnprocessableEntity)
			return true
		})
		w.serves(`[{"id":1,"n":2},{"id":2}]`)
		for !strings.Contains(w.log.String(), "is parked") {
			time.Sleep(time.Second)
		}
		w.expect("before the crash", "source.baselined source/crm")
		w.crash()
		want := []string{"event.parked webhook/app", "source.baselined source/crm"}
		time.Sleep(2 * time.Minute)
		w.expect("after the crash", want...)
		all := w.told()
		if len(all) == 0 {
			return
		}
		if d := all[len(all)-1].Data; d.Count != 2 || len(d.Events) != 2 || !strings.Contains(d.Message, "422") {
			w.t.Errorf("told %+v", d)
		}
		w.crash()
		time.Sleep(time.Hour)
		w.expect("after another crash", want...)
		w.stop()
		w.start()
		time.Sleep(time.Hour)
		w.expect("after an orderly stop", want...)
	})
}

// P12, too: the first poll of a source may be the last one before a crash.
func TestABaselineFromBeforeACrashIsToldOnce(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]bool{"of a source that was added": false, "of the first start": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Test(t, func(t *testing.T) {
				w := newWard(t, "")
				time.Sleep(time.Minute)
				w.net.serve("erp.test:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					select {
					case <-r.Context().Done():
					case <-time.After(time.Minute):
					}
					_, _ = io.WriteString(rw, `[{"id":7}]`)
				}))
				before := []string{"source.baselined source/crm"}
				w.stop()
				w.text += "[source.erp]\nurl = \"http://erp.test/list\"\nevery = \"1h\"\nspread = false\ntimeout = \"2m\"\nkey = \"id\"\n"
				if fresh {
					w.keepAt(filepath.Join(t.TempDir(), "deltahook.db"))
					before = append(before, before...)
				}
				w.start()
				for strings.Count(w.log.String(), "baseline saved") < len(before)+1 {
					time.Sleep(100 * time.Millisecond)
				}
				w.expect("before the crash", before...)
				w.crash()
				want := slices.Sorted(slices.Values(append(before, "source.baselined source/erp")))
				time.Sleep(5 * time.Second) // long before it is polled again to its end
				w.expect("after the crash", want...)
				w.crash()
				time.Sleep(3 * time.Hour)
				w.expect("after another crash", want...)
				w.stop()
				w.start()
				time.Sleep(3 * time.Hour)
				w.expect("after an orderly stop", want...)
				w.stop()
				w.net.close()
			})
		})
	}
}

// The one that tells dies in the moment in which the other one has read its sources for the first time.
func TestBaselinesAreToldOnceWhenTheReplicaThatTellsDies(t *testing.T) {
	t.Parallel()
	p := newPair(t, 6, "[alerts]\nto = [\"ops\"]\nafter = \"0s\"\n")
	p.sharedOut()
	const kind = "deltahook.source.baselined"
	until(t, "an alert of each baseline", func() bool { return p.told(kind) >= len(p.sources) })
	late := make([]string, 12) // some of them are the other one's
	for i := range late {
		late[i] = fmt.Sprint("late-", i)
	}
	text := p.text(slices.Concat(late, p.sources), "[alerts]\nto = [\"ops\"]\nafter = \"0s\"\n")
	sender := p.teller()
	other := p.replicas[1-sender]
	other.write(t, text) // the one that tells does not know of them
	if _, err := other.client.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "a new source", func() bool { return strings.Contains(other.log.String(), "source=late-") })
	p.replicas[sender].cutOff(t)
	until(t, "an alert of each baseline, also of the new sources", func() bool { return p.told(kind) >= len(p.sources)+len(late) })
	time.Sleep(5 * time.Second) // of reports
	if n := p.told(kind); n != len(p.sources)+len(late) {
		t.Errorf("%d alerts of %d baselines", n, len(p.sources)+len(late))
	}
}
