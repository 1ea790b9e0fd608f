package page

import (
	"fmt"

	"github.com/deltahook/deltahook/internal/admin"
)

// sparkline draws the changes of the last hours: what was created and updated stands above the line, what was deleted
// hangs below it.
type sparkline struct {
	Bars                      []bar
	Created, Updated, Deleted int
	Text                      string // says the same to those who do not see it
	Width, Height, Middle     int
}

// bar is one rectangle.
type bar struct {
	Class               string // created, updated, deleted
	X, Y, Width, Height int
}

const (
	barWidth  = 4
	above     = 18 // pixels for what was created and updated
	below     = 7  // and for what was deleted
	leastSeen = 2  // a single change among thousands is still seen
)

func sparklineOf(hours []admin.Hour) sparkline {
	s := sparkline{Width: len(hours) * barWidth, Height: above + 1 + below, Middle: above}
	up, down := 1, 1
	for _, h := range hours {
		s.Created, s.Updated, s.Deleted = s.Created+h.Created, s.Updated+h.Updated, s.Deleted+h.Deleted
		up, down = max(up, h.Created+h.Updated), max(down, h.Deleted)
	}
	for i, h := range hours {
		x := i * barWidth
		created, updated := scaled(h.Created, up, above), scaled(h.Updated, up, above)
		created = max(0, min(created, above-updated))
		s.add(bar{Class: "updated", X: x, Y: above - updated, Width: barWidth - 1, Height: updated})
		s.add(bar{Class: "created", X: x, Y: above - updated - created, Width: barWidth - 1, Height: created})
		s.add(bar{Class: "deleted", X: x, Y: above + 1, Width: barWidth - 1, Height: scaled(h.Deleted, down, below)})
	}
	s.Text = fmt.Sprintf("the last 24 hours: %s created, %s updated, %s deleted", num(s.Created), num(s.Updated), num(s.Deleted))
	return s
}

func (s *sparkline) add(b bar) {
	if b.Height > 0 {
		s.Bars = append(s.Bars, b)
	}
}

func scaled(n, most, height int) int {
	if n == 0 {
		return 0
	}
	return max(leastSeen, n*height/most)
}
