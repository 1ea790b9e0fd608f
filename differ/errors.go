package differ

import (
	"fmt"
	"strings"
)

// SyntaxError says that an answer is not one JSON document.
type SyntaxError struct {
	Offset    int64  // of the byte that is wrong, from 0, in the answer as it was read
	What      string // what is wrong there
	Near      string // how the answer goes on there, a few bytes
	Truncated bool   // the answer is fine as far as it goes, but it ends too early
}

// Error says what is wrong and where.
func (e *SyntaxError) Error() string {
	if e.Truncated {
		return fmt.Sprintf("the answer breaks off after %d bytes: it ends %s", e.Offset, e.What)
	}
	return fmt.Sprintf("the answer is not JSON: unexpected %q at byte %d, %s", e.Near, e.Offset, e.What)
}

// NextStep guesses the reason.
func (e *SyntaxError) NextStep() string {
	if e.Offset == 0 && strings.HasPrefix(e.Near, "<") {
		return "the answer looks like HTML or XML: check url and credentials"
	}
	return ""
}

// NotFoundError says that the answer, a valid document, has nothing at the path of the records.
type NotFoundError struct {
	Path Path
	Has  []string // what the document does have, for example "data.items (50 objects)"
}

// Error names the path and what is there instead.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("the answer has no %s%s", e.Path, listHas(e.Has))
}

// NotListError says that the value at the path of the records is not a list. That is never read as an empty one.
type NotListError struct {
	Path   Path
	Kind   ValueKind // what is there
	Wanted ValueKind // Array; Object when the records are the members of an object; Missing when anything but null would do
	Has    []string  // as in NotFoundError
}

// Error names the path, what is there and what should be.
func (e *NotListError) Error() string {
	wanted := "not a list"
	switch e.Wanted {
	case Object:
		wanted = "not an object of records"
	case Missing:
		wanted = "not a record"
	default:
	}
	return fmt.Sprintf("%s is %s, %s%s", e.Path, e.Kind, wanted, listHas(e.Has))
}

func listHas(has []string) string {
	if len(has) == 0 {
		return ""
	}
	return "; it has " + strings.Join(has, ", ")
}

// TooLargeError says that a part of the answer is larger than the limit for it.
type TooLargeError struct {
	What   string // "record" or "answer without its records"
	Limit  int    // bytes
	Offset int64  // where the part begins
}

// Error names the part and its limit.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the %s at byte %d is larger than %d bytes", e.What, e.Offset, e.Limit)
}
