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

// memberKey is the path that means the name of a record in an object of records.
const memberKey = "@key"

// byMember says whether the list is an object of records.
func (s *Spec) byMember() bool {
	for _, p := range s.Key {
		if p.String() == memberKey {
			return true
		}
	}
	return false
}
