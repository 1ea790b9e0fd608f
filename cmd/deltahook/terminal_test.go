package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
)

// narrow is a terminal of so many columns, and what was written to it.
func narrow(columns int) (*app, *bytes.Buffer) {
	var out bytes.Buffer
	p := &process{stdout: &out, stderr: &out, terminal: true, width: columns, columns: columns, lookupEnv: func(string) (string, bool) { return "", false }}
	return &app{process: p, color: "auto"}, &out
}

func long(n int) string { return strings.Repeat("long ", n/5) }

func TestEachListFitsEightyColumns(t *testing.T) {
	now := time.Now()
	const id = "evt_01K9ZB3V6ZJ8Q0X5R6T2M4N7PC"
	for name, show := range map[string]func(a *app) error{
		"events": func(a *app) error {
			return a.printEvents([]admin.Event{{ID: id, Type: "contacts.updated", Key: long(200), Sequence: 18233, At: now}})
		},
		"deliveries": func(a *app) error {
			return a.printDeliveries([]admin.Delivery{{Event: id, Webhook: "warehouse", Type: "contacts.updated", Key: long(90), State: "parked", Attempts: 12, Status: 422, TookMS: 1234, Reason: long(300)}})
		},
		"status": func(a *app) error {
			return a.printStatus(admin.Status{
				Sources:  []admin.Source{{Name: "contacts-of-the-old-system", State: "failing", Since: now.Add(-time.Hour), LastOK: now, NextPoll: now.Add(time.Minute), Records: 1234567, Sequence: 7654321, Note: long(300)}},
				Webhooks: []admin.Webhook{{Name: "warehouse", State: "failing", Queued: 1234567, Oldest: now, Parked: 12, Delivered: 1234567, Failed: 1234, Note: long(300)}},
			}, now)
		},
	} {
		a, out := narrow(80)
		if err := show(a); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			line = strings.TrimRight(line, "\n")
			if n := columnsOf(line); n > 80 && !strings.Contains(line, "deltahook ") { // commands are there to be copied
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
		if name != "status" && !strings.Contains(out.String(), id) {
			t.Errorf("%s: the id was cut:\n%s", name, out)
		}
		if !strings.Contains(out.String(), "…") {
			t.Errorf("%s: nothing was cut:\n%s", name, out)
		}
	}
}

func TestWideCharactersKeepColumnsAligned(t *testing.T) {
	a, out := narrow(0)
	rows := [][]string{{"東京", "one"}, {"Zu\u0308rich", "two"}, {"한국어", "three"}, {"🙂", "four"}, {"abc", "five"}}
	if err := a.table([]string{"KEY", "N"}, rows); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimRight(out.String(), "\n"), "\n") {
		word := "N"
		if i > 0 {
			word = rows[i-1][1]
		}
		if at := columnsOf(line[:strings.LastIndex(line, word)]); at != 9 {
			t.Errorf("%q stands in column %d of %q", word, at, line)
		}
	}
	if got := cut("東京都", 5); got != "東京…" {
		t.Errorf("cut to %q", got)
	}
}

func TestAPipeGetsWholeLines(t *testing.T) {
	a, out := narrow(0)
	key := long(500)
	if err := a.printEvents([]admin.Event{{ID: "evt_1", Type: "contacts.updated", Key: key}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), key) || strings.Count(out.String(), "\n") != 2 {
		t.Error(out)
	}
}

func TestWhatRecordsSayDoesNotSteerATerminal(t *testing.T) {
	const hostile = `{"id":"\u001b]0;owned\u0007\u001b[2Jx\u009b31m\u202e","name":"\u001b[31mred\u001b[0m ` + "\u009b2J\x7f" + `"}`
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("[" + hostile + "]"))
	}))
	defer api.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "deltahook.toml")
	text := "[source.x]\nurl = \"" + api.URL + "\"\nevery = \"1m\"\nkey = \"id\"\ninitial = \"emit\"\n[webhook.app]\nurl = \"http://127.0.0.1:9/\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n[store]\nurl = \"sqlite:" + filepath.ToSlash(filepath.Join(dir, "s.db")) + "\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"try", "x"}, {"try", "x", "--show", "records"}, {"try", "x", "--show", "payload"}, {"pause", "no\x1b[2Jne"}} {
		var out bytes.Buffer
		p := &process{
			args: append([]string{"--config", path}, args...), stdin: strings.NewReader(""), stdout: &out, stderr: &out,
			terminal: true, width: 200, columns: 200, lookupEnv: func(string) (string, bool) { return "", false },
		}
		execute(t.Context(), p)
		rest := out.String()
		for _, own := range ownSequences()[:1] {
			rest = strings.ReplaceAll(rest, own, "")
		}
		for _, c := range []paint{green, red, yellow, grey, bold} {
			rest = strings.ReplaceAll(rest, "\x1b["+string(c)+"m", "")
		}
		if i := strings.IndexFunc(rest, steers); i >= 0 {
			t.Errorf("%q: %q reaches the terminal:\n%q", args, rest[i:min(i+4, len(rest))], rest)
		}
		if !strings.Contains(rest, `\u001b`) && !strings.Contains(rest, `\x1b`) {
			t.Errorf("%q: the control characters are not shown:\n%s", args, rest)
		}
	}
}

func TestColoursAreForTerminalsUnlessSaidOtherwise(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		flag     string
		noColor  string
		want     bool
	}{
		{true, "auto", "", true},
		{true, "auto", "1", false},
		{true, "always", "1", true},
		{true, "never", "", false},
		{false, "auto", "", false},
		{false, "always", "", true},
	} {
		a := &app{color: c.flag, process: &process{terminal: c.terminal, lookupEnv: func(name string) (string, bool) {
			return c.noColor, name == "NO_COLOR" && c.noColor != ""
		}}}
		if got := a.colours(); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}
