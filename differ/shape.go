package differ

// Shape is a compiled Spec: what of a record is kept, what counts, and which arrays have no order. It is immutable and
// safe for concurrent use.
type Shape struct{}

// Compile checks Fields, Ignore and Unordered and prepares them. The error is a *PathError.
func (s *Spec) Compile() (*Shape, error) { return &Shape{}, nil }

// AppendCanonical appends the canonical form of a record, a valid JSON text: two records are equal exactly when their
// canonical forms are.
func (s *Shape) AppendCanonical(dst, record []byte) []byte { return append(dst, record...) }

// Project gives the record after Fields: kept members byte for byte and in order, built in dst[:0]. Without fields it is
// the record itself.
func (s *Shape) Project(dst, record []byte) []byte { return record }

// Diff says how the record changed. Both must be JSON texts.
func (s *Shape) Diff(old, new []byte) (Delta, error) { return Delta{}, nil }
