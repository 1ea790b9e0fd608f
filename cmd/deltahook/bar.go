package main

import (
	"fmt"
	"strings"
)

// bar shows how far something is, on a terminal only. It redraws one line.
type bar struct {
	*app
	drawn bool
}

func newBar(a *app) *bar { return &bar{app: a} }

// show draws the bar, with a note behind it.
func (b *bar) show(done, total int64, note string) {
	if !b.terminal {
		return
	}
	b.drawn = true
	b.steer("\r\x1b[K")
	fmt.Fprint(b.stdout, barLine(done, total, note, b.width))
}

// end leaves the line.
func (b *bar) end() {
	if b.drawn {
		fmt.Fprintln(b.stdout)
	}
	b.drawn = false
}

// barLine is at most width-1 columns wide: the last one makes terminals wrap.
func barLine(done, total int64, note string, width int) string {
	const longest = 32
	share := 1.0
	if total > 0 {
		share = min(float64(done)/float64(total), 1)
	}
	text := fmt.Sprintf("  %s/%s  %3.0f %%", count(done), count(total), share*100)
	if note != "" {
		text += "  " + note
	}
	cells := min(longest, width/3)
	full := int(share * float64(cells))
	return strings.Repeat("█", full) + strings.Repeat("░", cells-full) + clip(text, max(width-1-cells, 0))
}
