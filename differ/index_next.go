package differ

// SeeNext marks the record after the one that was seen last, if its bytes are those that hash to raw and it was not seen in this
// scan, and gives its hash. A listing in its usual order is recognised by it without its keys: the key is a part of the bytes,
// except where it is the name of a member ("@key"). It does not allocate.
func (x *Index) SeeNext(raw uint64) (hash Hash, same bool) {
	if x.hint >= x.n {
		return Hash{}, false
	}
	e, mark := x.entry(x.hint), x.mark(x.hint)
	if e.print.Raw != raw || *mark&seenMark != 0 {
		return Hash{}, false
	}
	*mark |= seenMark
	x.order.note(x.hint)
	x.hint++
	return e.hash, true
}
