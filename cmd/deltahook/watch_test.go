package main

import (
	"strings"
	"testing"
	"time"
)

func TestAScreenIsDrawnInPlaceAndFits(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for height, want := range map[int]string{
		0:  "12:00:00   Ctrl-C ends this\n\na\nb\nc\nd\n",
		24: "12:00:00   Ctrl-C ends this\n\na\nb\nc\nd\n",
		6:  "12:00:00   Ctrl-C ends this\n\na\nb\n… and 2 more lines; all of it: deltahook status\n",
		4:  "12:00:00   Ctrl-C ends this\n\n… and 4 more lines; all of it: deltahook status\n",
	} {
		got := screen("a\nb\nc\nd\n", height, now)
		if !strings.HasPrefix(got, "\x1b[H") || !strings.HasSuffix(got, "\x1b[J") {
			t.Errorf("%q is not drawn in place", got)
		}
		plain := strings.NewReplacer("\x1b[H", "", "\x1b[K", "", "\x1b[J", "").Replace(got)
		if plain != want {
			t.Errorf("height %d: %q, want %q", height, plain, want)
		}
		if n := strings.Count(plain, "\n"); height > 0 && n >= height {
			t.Errorf("%d lines on a terminal of %d", n, height)
		}
	}
}

func TestTextIsWrappedBetweenWords(t *testing.T) {
	got := strings.Join(wrap("one two three-is-a-word-that-is-too-long four five six seven", 22), "|")
	if got != "one two|three-is-a-word-that-is-too-long|four five six seven" {
		t.Errorf("%s", got)
	}
	if got := wrap("", 40); len(got) != 1 || got[0] != "" {
		t.Errorf("of nothing: %q", got)
	}
}
