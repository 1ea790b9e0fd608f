package differ

// Conditions is one condition or a list of them. The zero value has none, and so holds for everything.
type Conditions []Condition

// SetStrings takes a list of conditions.
func (c *Conditions) SetStrings(texts []string) error {
	list := make(Conditions, len(texts))
	for i, text := range texts {
		if err := list[i].UnmarshalText([]byte(text)); err != nil {
			return err
		}
	}
	*c = list
	return nil
}

// UnmarshalText takes one condition.
func (c *Conditions) UnmarshalText(text []byte) error { return c.SetStrings([]string{string(text)}) }

// Match says whether all conditions hold for a valid JSON text.
func (c Conditions) Match(json []byte) bool {
	for i := range c {
		if !c[i].Match(json) {
			return false
		}
	}
	return true
}
