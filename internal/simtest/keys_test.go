package simtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/admin"
)

// The forms of keys, as a configuration says them: what makes it the same record.
const (
	byID   = "id"
	byUID  = "uid"
	byBoth = "id,uid"
)

// keyOf gives the key of the record with an id.
func keyOf(form, id string) string {
	switch form {
	case byUID:
		return "u-" + id
	case byBoth:
		return fmt.Sprintf(`[%q,"u-%s"]`, id, id)
	}
	return id
}

// idOf gives the id of the record with a key of any form.
func idOf(key string) string {
	if strings.HasPrefix(key, "[") {
		key = idPartsOf(key)[0]
	}
	return strings.TrimPrefix(key, "u-")
}

// idPartsOf gives the parts of a composite key, without the name of the list.
func idPartsOf(key string) []string {
	var parts []string
	if err := json.Unmarshal([]byte(key), &parts); err != nil {
		panic(err) // a key with a bracket that is not of several parts
	}
	if slices.Contains(partNames(), parts[0]) {
		return parts[1:]
	}
	return parts
}

// formOf says of which form a key is.
func formOf(key string) string {
	if strings.HasPrefix(key, "[") {
		parts := idPartsOf(key)
		if len(parts) > 1 {
			return byBoth
		}
		key = parts[0]
	}
	switch {
	case strings.HasPrefix(key, "u-"):
		return byUID
	}
	return byID
}

// reidentified says whether records are known under keys of another form than the one that is configured.
func (r *reading) reidentified() bool {
	for key := range r.m.known {
		if formOf(key) != r.s.key || r.strayed(key) {
			return true
		}
		if len(r.s.parts) == 0 {
			return false // all are of one form, but while a person's decision is carried out
		}
	}
	return false
}

// decided says whether a person has decided what becomes of the poll.
func (r *reading) decided() (released, discarded bool) {
	h := r.m.state.Held
	return h != nil && h.Release, h != nil && h.Discard
}

// exchanged says that records may become other ones: a person has said so, or the first listing was not read to its end when the key was
// edited, and what it found had been told.
func (r *reading) exchanged() bool {
	released, _ := r.decided()
	return released || r.m.state.Baselined.IsZero() || r.m.mixed
}

// rekeyed checks a commit that puts all known records under other keys: it happens on request only, and no record changes or is lost.
func (r *reading) rekeyed() {
	switch r.w.asked[r.u.name] {
	case admin.Rekey:
	case admin.Reset:
		return
	default:
		if r.m.state.Baselined.IsZero() && (r.m.state.Sequence == 0 || r.s.initial == "baseline") && (len(r.m.known) == 0 || r.reidentified()) {
			return // the first listing begins anew under another key
		}
		r.violated(10, "%s is known anew, and nobody asked", r.u.name)
	}
	was := map[string]string{}
	for key, k := range r.m.known {
		was[idOf(key)] = k.body
	}
	for i := range r.c.writes {
		wr := &r.c.writes[i]
		id := idOf(wr.key)
		if wr.event != nil || wr.key != r.s.keyOf(id) || wr.body != was[id] {
			r.violated(10, "%s %s is rekeyed as\n%s\nand was\n%s", r.u.name, wr.key, wr.body, was[id])
		}
		delete(was, id)
	}
	if len(was) > 0 {
		r.violated(10, "%s loses %d records when it is rekeyed", r.u.name, len(was))
	}
}
