package outbound

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/deltahook/deltahook/internal/setting"
)

// Misprint finds what a person who wrote an address cannot have meant: blanks at an end, and a part from # on, which no client sends. What
// stands in {…} is left alone. Its errors know the next step.
func Misprint(text string) error {
	switch {
	case strings.TrimSpace(text) != text:
		return &setting.HintedError{Message: "the url begins or ends with a blank", Hint: "remove it"}
	case strings.Contains(text, "#") && strings.Contains(placeholder.ReplaceAllString(text, ""), "#"):
		return &setting.HintedError{
			Message: "the url has a fragment, which is never sent",
			Hint:    "remove the part from # on, or write %23 for a # that is meant",
		}
	}
	return nil
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// ValidPort says whether an address has no port, or one that a server can have.
func ValidPort(u *url.URL) bool {
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || err == nil && n > 0
}
