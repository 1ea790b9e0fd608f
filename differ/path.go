package differ

// Path is a checked gjson path. The zero value is no path.
type Path struct{ text string }

// Paths is one path or a list of them.
type Paths []Path
