package differ

// Spec says where the records of an answer are and what of them counts.
type Spec struct {
	Records   Path   // of the list; "@this" (and the zero path): the answer itself is the list
	Key       Paths  // inside a record; "@key": the member name when the list is an object of objects
	Single    bool   // the value at Records is the one record
	Fields    []Path // only these are kept and compared; empty: all
	Ignore    []Path // never count
	Unordered []Path // arrays whose order is noise
}

// AppendKey appends the text of the record's key to dst. The error is a *KeyError.
func (s *Spec) AppendKey(dst []byte, rec Record) ([]byte, error) {
	for _, p := range s.Key {
		v := p.Get(rec.Raw)
		if !v.Exists() {
			return dst, &KeyError{Path: p}
		}
		dst = append(dst, v.Text()...)
	}
	return dst, nil
}

// KeyOf gives the text of the record's key. The error is a *KeyError.
func (s *Spec) KeyOf(rec Record) (string, error) {
	key, err := s.AppendKey(nil, rec)
	return string(key), err
}
