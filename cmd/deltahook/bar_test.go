package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTheBarFitsTheTerminal(t *testing.T) {
	for _, width := range []int{20, 40, 80, 200} {
		for _, note := range []string{"", strings.Repeat("a webhook takes nothing ", 10)} {
			line := barLine(3800, 9310, note, width)
			if n := utf8.RuneCountInString(line); n >= width {
				t.Errorf("at %d columns the bar has %d: %s", width, n, line)
			}
		}
	}
	if got := barLine(3800, 9310, "", 80); !strings.HasPrefix(got, "██████████░") || !strings.HasSuffix(got, "░  3,800/9,310   41 %") {
		t.Error(got)
	}
	if got := barLine(0, 0, "", 80); !strings.Contains(got, "100 %") {
		t.Error(got)
	}
}
