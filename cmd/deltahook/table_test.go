package main

import (
	"strings"
	"testing"

	"github.com/deltahook/deltahook/internal/admin"
)

func TestAKeyBringsNoColourOfItsOwnIntoATable(t *testing.T) {
	var out strings.Builder
	a := &app{process: &process{stdout: guarded{&out}}}
	if err := a.table([]string{"KEY", "STATE"}, [][]string{{"\x1b[31mred", "ok"}}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Contains(got, "\x1b") || !strings.Contains(got, `\u001b[31mred   ok`) {
		t.Errorf("%q", got)
	}
}

func TestWhatARecordOrAServerSaysIsOneLineOfTail(t *testing.T) {
	const hostile = "a\n12:00:00  app  delivered\x1b[31m"
	for _, it := range []admin.Item{
		{Kind: admin.KindEvent, Type: "contacts.created", Key: hostile},
		{Kind: admin.KindAttempt, Webhook: "app", Key: hostile, Failed: true, Message: hostile},
		{Kind: admin.KindPoll, Source: "contacts", Verdict: "failed", Failed: true, Message: hostile},
		{Kind: admin.KindTransition, Source: "contacts", Webhook: "app", Key: hostile, State: "failing", Message: hostile},
		{Kind: admin.KindGap, Message: hostile},
	} {
		tail := &tailing{app: &app{color: "never", process: &process{}}}
		if got := tail.line(it); strings.ContainsAny(got, "\n\x1b") || !strings.Contains(got, `a\n12:00:00`) {
			t.Errorf("%s: %q", it.Kind, got)
		}
	}
}

func TestAKeyWithLineBreaksStaysInItsRow(t *testing.T) {
	var out strings.Builder
	a := &app{process: &process{stdout: &out}}
	if err := a.table([]string{"KEY", "STATE"}, [][]string{{"a\nevt_1\rx\t\x1b[2J", "ok"}, {"b", "ok"}}); err != nil {
		t.Fatal(err)
	}
	want := "KEY                        STATE\n" +
		`a\nevt_1\rx\t\u001b[2J   ok` + "\nb                          ok\n"
	if got := out.String(); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("%q, not %q", got, want)
	}
}
