package differ

import "fmt"

// SyntaxError says that an answer is not a JSON document.
type SyntaxError struct {
	Offset    int64  // of the byte that is wrong, from 0, in the answer as it was read
	What      string // what is wrong there
	Truncated bool   // the answer is fine so far, but it ends too early
}

// Error says what is wrong and where.
func (e *SyntaxError) Error() string {
	if e.Truncated {
		return fmt.Sprintf("the answer breaks off after %d bytes: %s", e.Offset, e.What)
	}
	return fmt.Sprintf("the answer is not JSON: %s at byte %d", e.What, e.Offset)
}

// NotFoundError says that the answer, a valid document, has nothing at the path of the records.
type NotFoundError struct {
	Path Path
	Has  []string // what the document does have, for example "data.items (50 objects)"
}

// Error names the path.
func (e *NotFoundError) Error() string { return fmt.Sprintf("the answer has no %s", e.Path) }

// NotListError says that the value at the path of the records is not a list. An absent list is never an empty one.
type NotListError struct {
	Path Path
	Kind ValueKind
}

// Error names the path and what is there.
func (e *NotListError) Error() string { return fmt.Sprintf("%s is %s, not a list", e.Path, e.Kind) }

// TooLargeError says that a part of the answer is larger than the limit for it.
type TooLargeError struct {
	What   string // "record", "answer without its records"
	Limit  int    // bytes
	Offset int64  // where the part begins
}

// Error names the part and its limit.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the %s at byte %d is larger than %d bytes", e.What, e.Offset, e.Limit)
}

// KeyError says that a record has no usable key.
type KeyError struct {
	Path    Path
	Kind    ValueKind // what is there
	Members []string  // the names of the record's members
}

// Error names the path and what is there.
func (e *KeyError) Error() string { return fmt.Sprintf("the key %s is %s", e.Path, e.Kind) }
