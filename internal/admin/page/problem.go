package page

import (
	"fmt"
	"strings"
)

func badTime(name, text string) error {
	return refused{fmt.Errorf("%s = %q is no time; write 2h, 3d or 2026-01-31T12:00:00Z", name, text)}
}

func badState(state string, states []string) error {
	return refused{fmt.Errorf("there is no state %q of deliveries; there are %s", state, strings.Join(states, ", "))}
}
