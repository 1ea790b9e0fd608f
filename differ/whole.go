package differ

// whole reads the document up to its end, for a path that cannot be followed while the document passes.
func (r *Reader) whole() (Record, outcome) {
	b := r.input.buf
	end := r.scan.value(b, r.input.pos, 0)
	if end < 0 {
		return r.broken()
	}
	if end = space(b, end); end < len(b) {
		return r.fail(end, wantEnd)
	}
	if !r.input.eof {
		return Record{}, starved
	}
	return r.locate(b[r.input.pos:end])
}

// locate finds the list in the whole document.
func (r *Reader) locate(doc []byte) (Record, outcome) {
	r.step = (*Reader).tail
	if len(doc) > r.opts.MaxEnvelope {
		return r.stop(r.tooLarge(r.input.pos))
	}
	v := r.opts.Spec.Records.Get(doc)
	r.found = v.Exists()
	r.input = input{size: r.input.size, buf: v.Raw, base: r.input.base, eof: true, err: r.input.err, lent: true}
	switch kind := v.Kind(); {
	case kind == Missing:
	case r.opts.Spec.Single && kind != Null:
		r.envelope = append(r.envelope, doc...)
		r.input.pos = len(v.Raw)
		return Record{Raw: v.Raw}, cut
	case !r.opts.Spec.Single && r.isList(v):
		r.envelope = appendWithout(r.envelope, doc, v.Raw)
		r.input.pos = 1
		r.beginList(v.Raw[0])
		return Record{}, moved
	default:
		r.misfit = r.notList(kind)
	}
	r.envelope = append(r.envelope, doc...)
	r.input.pos = len(v.Raw)
	return Record{}, moved
}

// appendWithout appends the document with the list replaced by []. A list that gjson has computed is not part of it.
func appendWithout(dst, doc, list []byte) []byte {
	at := offsetIn(doc, list)
	if at < 0 {
		return append(dst, doc...)
	}
	dst = append(dst, doc[:at]...)
	dst = append(dst, "[]"...)
	return append(dst, doc[at+len(list):]...)
}

func (r *Reader) isList(v Value) bool {
	if r.opts.Spec.byMember() {
		return v.IsObject() || isEmptyArray(v.Raw)
	}
	return v.IsArray()
}
