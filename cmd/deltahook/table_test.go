package main

import (
	"strings"
	"testing"
)

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
