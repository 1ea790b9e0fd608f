package differ

import "math"

// Watch is one path or a list of paths whose changes matter. Its paths are those of a Shape: names, indexes, # (each element of an
// array) and * (each member or element), joined by dots. The zero value watches nothing.
type Watch []Watched

// Watched is one path of a Watch.
type Watched struct {
	path  Path
	parts []component
}

// SetStrings takes a list of paths. The error is a *PathError.
func (w *Watch) SetStrings(texts []string) error {
	list := make(Watch, len(texts))
	for i, text := range texts {
		if err := list[i].UnmarshalText([]byte(text)); err != nil {
			return err
		}
	}
	*w = list
	return nil
}

// UnmarshalText takes one path.
func (w *Watch) UnmarshalText(text []byte) error { return w.SetStrings([]string{string(text)}) }

// UnmarshalText takes the path.
func (w *Watched) UnmarshalText(text []byte) error {
	path, err := ParsePath(string(text))
	if err != nil {
		return err
	}
	parts, err := shapeParts(path)
	if err != nil {
		return &PathError{Path: path.String(), Problem: "has more than names, indexes, # and *, which is all that can be watched"}
	}
	w.path, w.parts = path, parts
	return nil
}

// MarshalText gives the path as it was written.
func (w Watched) MarshalText() ([]byte, error) { return w.path.MarshalText() }

// Sees says whether an update changed one of the watched paths: it, something in it, or an array or object around it that
// changed as a whole.
func (w Watch) Sees(c *Change) bool {
	for _, text := range c.Delta.Changed {
		if text == self {
			return len(w) > 0 // a record that is no object
		}
		changed, ok := components(text)
		for i := range w {
			parts := w[i].parts
			if !ok || meet(parts, changed) && (len(parts) <= len(changed) || c.container(text)) {
				return true
			}
		}
	}
	return false
}

// meet says whether one path leads through the other.
func meet(watched, changed []component) bool {
	for i := range min(len(watched), len(changed)) {
		if !watched[i].wild && watched[i].name != changed[i].name {
			return false
		}
	}
	return true
}

// container says whether something can be inside of what is, or was, at a path that changed.
func (c *Change) container(path string) bool {
	was := c.Delta.Was(path)
	if was.IsObject() || was.IsArray() {
		return true
	}
	p, err := ParsePath(path)
	is := p.Get(c.Record)
	return err != nil || is.IsObject() || is.IsArray()
}

// Was gives the old value at a path that changed; none when there was none.
func (d *Delta) Was(path string) Value {
	if len(path) > math.MaxUint16 {
		return Value{} // longer than a step can be
	}
	return get(d.Previous, string(appendStep(nil, path, false)))
}
