package simtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// history is what an upstream's records are, and all they ever were: the truth that events are held to.
type history struct {
	chance *rand.Rand
	order  []string             // keys of the records that are there, as a list shows them
	now    map[string]string    // body by key
	was    map[string][]version // oldest first
	next   int
	sorted bool          // the list is in order of keys, as for pages that go on behind a key
	stamp  func() string // when a change is said to have happened; nil: a record does not say
	listed bool          // a list shows but an entry of each record
}

// version is a body that a record had from one step of the world up to another.
type version struct {
	body     string
	entry    string // that a list shows of it, if that is not all
	from, to int64  // to is exclusive; 0: it still has it
}

func newHistory(seed uint64) *history {
	return &history{chance: rand.New(rand.NewPCG(seed, 3)), now: map[string]string{}, was: map[string][]version{}}
}

// change makes one random change at a step of the world.
func (h *history) change(step int64, reorders bool) {
	dice := h.chance.IntN(20)
	if len(h.order) == 0 || dice < 4 && len(h.order) < 60 {
		h.create(step)
		return
	}
	key := h.order[h.chance.IntN(len(h.order))]
	switch {
	case dice < 7 && len(h.order) > 5:
		h.set(step, key, "")
	case dice < 9: // other white space and order, and what does not count: no news
		h.set(step, key, respelt(h.chance, h.now[key], true))
	case dice < 10 && reorders && !h.sorted:
		h.chance.Shuffle(len(h.order), func(i, j int) { h.order[i], h.order[j] = h.order[j], h.order[i] })
	case dice < 12 && len(h.was[key]) > 1: // back to what it was
		h.set(step, key, h.stamped(h.was[key][h.chance.IntN(len(h.was[key]))].body))
	default:
		h.set(step, key, h.body(key))
	}
}

// create makes a new record, or brings one back that was deleted.
func (h *history) create(step int64) {
	gone := slices.DeleteFunc(slices.Sorted(maps.Keys(h.was)), func(k string) bool { return h.now[k] != "" })
	if len(gone) > 0 && h.chance.IntN(3) == 0 {
		key := gone[h.chance.IntN(len(gone))]
		h.set(step, key, h.body(key))
		return
	}
	h.next++
	key := fmt.Sprintf("k%03d", h.next)
	h.set(step, key, h.body(key))
}

// set gives a record a body, or takes it away.
func (h *history) set(step int64, key, body string) {
	list := h.was[key]
	if n := len(list); n > 0 && list[n-1].to == 0 {
		list[n-1].to = step
	}
	_, there := h.now[key]
	if body == "" {
		delete(h.now, key)
		h.order = slices.DeleteFunc(h.order, func(k string) bool { return k == key })
		return
	}
	v := version{body: body, from: step}
	if h.listed {
		v.entry = entry(body, step)
	}
	h.was[key] = append(list, v)
	h.now[key] = body
	if !there {
		h.insert(key)
	}
}

func (h *history) insert(key string) {
	place := h.chance.IntN(len(h.order) + 1)
	if h.sorted {
		place, _ = slices.BinarySearch(h.order, key)
	}
	h.order = slices.Insert(h.order, place, key)
}

// body has what must arrive untouched: a large integer, trailing zeros, raw and escaped characters.
func (h *history) body(key string) string {
	r := h.chance
	members := []string{
		fmt.Sprintf(`"id":%q`, key), fmt.Sprintf(`"uid":"u-%s"`, key), fmt.Sprintf(`"n":900719925474099%d`, 1+2*r.IntN(3)),
		fmt.Sprintf(`"price":%d.10`, r.IntN(4)), fmt.Sprintf(`"status":"s%d"`, r.IntN(4)), fmt.Sprintf(`"text":"<&>`+"\u2028"+` \u2028 %d"`, r.IntN(3)),
		fmt.Sprintf(`"seen":%d`, r.IntN(1000)), fmt.Sprintf(`"o":{"a":%d.0,"b":[1,%d]}`, r.IntN(3), r.IntN(3)),
	}
	if h.stamp != nil {
		members = append(members, fmt.Sprintf(`"at":%q`, h.stamp()))
	}
	return respelt(r, "{"+strings.Join(members, ",")+"}", false)
}

// stamped says of a body that it is of now.
func (h *history) stamped(body string) string {
	if h.stamp == nil {
		return body
	}
	members := membersOf(body)
	for i, m := range members {
		text := m.raw
		if m.name == stampField {
			text = strconv.Quote(h.stamp())
		}
		members[i].raw = fmt.Sprintf("%q:%s", m.name, text)
	}
	return respelt(h.chance, "{"+joined(members)+"}", false)
}

func joined(members []member) string {
	texts := make([]string, len(members))
	for i, m := range members {
		texts[i] = m.raw
	}
	return strings.Join(texts, ",")
}

// respelt writes a record in another way: order of members, white space, and with noise a value that does not count.
func respelt(r *rand.Rand, body string, noise bool) string {
	members := membersOf(body)
	r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			b.WriteString([]string{",", ", ", ",\n\t"}[r.IntN(3)])
		}
		if m.name == "seen" && noise {
			m.raw = strconv.Itoa(r.IntN(1000))
		}
		fmt.Fprintf(&b, "%q:%s%s", m.name, []string{"", " "}[r.IntN(2)], m.raw)
	}
	b.WriteByte('}')
	return b.String()
}

type member struct{ name, raw string }

// membersOf gives the members of an object with the text of their values.
func membersOf(body string) []member {
	dec := json.NewDecoder(strings.NewReader(body))
	_, _ = dec.Token() // {
	var out []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			panic(err) // the bodies are ours
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			panic(err)
		}
		out = append(out, member{fmt.Sprint(name), string(raw)})
	}
	return out
}

// comparison is what of a record counts.
type comparison struct {
	fields string // comma-separated; empty: all
	ignore string
}

// canons keeps what canon came to: the same records are compared over and over.
var canons struct {
	sync.Mutex

	texts map[spelt]string
}

// spelt is a record, and what of it counts.
type spelt struct {
	comparison

	body string
}

// canon gives a text that is equal for records in which nothing that counts differs. It is not the differ's: that one is under test.
func (c comparison) canon(body string) string {
	canons.Lock()
	defer canons.Unlock()
	is := spelt{c, body}
	text, ok := canons.texts[is]
	if !ok {
		const most = 1 << 14
		if len(canons.texts) >= most || canons.texts == nil {
			canons.texts = map[spelt]string{}
		}
		text = c.compute(body)
		canons.texts[is] = text
	}
	return text
}

func (c comparison) compute(body string) string {
	counted := map[string]any{}
	for _, m := range membersOf(body) {
		if c.fields != "" && !slices.Contains(strings.Split(c.fields, ","), m.name) || slices.Contains(strings.Split(c.ignore, ","), m.name) {
			continue
		}
		dec := json.NewDecoder(strings.NewReader(m.raw))
		dec.UseNumber() // 1.10 is not 1.1
		var v any
		if err := dec.Decode(&v); err != nil {
			panic(err)
		}
		counted[m.name] = v
	}
	text, err := json.Marshal(counted) // sorts names
	if err != nil {
		panic(err)
	}
	return string(text)
}

// and is what counts for both.
func (c comparison) and(d comparison) comparison {
	out := comparison{fields: c.fields, ignore: c.ignore + "," + d.ignore}
	switch {
	case c.fields == "":
		out.fields = d.fields
	case d.fields != "":
		both := slices.DeleteFunc(strings.Split(c.fields, ","), func(f string) bool { return !slices.Contains(strings.Split(d.fields, ","), f) })
		out.fields = strings.Join(both, ",")
	}
	return out
}

// differs says whether a record has had, since a step, bodies that differ in what counts.
func (h *history) differs(key string, since int64, c comparison) bool {
	var first string
	for _, v := range h.was[key] {
		if v.to != 0 && v.to <= since {
			continue
		}
		if canon := c.canon(v.body); first == "" {
			first = canon
		} else if canon != first {
			return true
		}
	}
	return false
}

// throughout says whether a record was there, and one that counts, all the time from one step to another, both included.
func (h *history) throughout(key string, from, to int64, counts func(body string) bool) bool {
	at := from
	for _, v := range h.was[key] {
		if v.from > at || v.to != 0 && v.to <= at || !counts(v.body) {
			continue
		}
		if v.to == 0 || v.to > to {
			return true
		}
		at = v.to
	}
	return false
}

// had says whether a record had exactly this body at some moment between two steps.
func (h *history) had(key string, from, to int64, is func(body string) bool) bool {
	return slices.ContainsFunc(h.was[key], func(v version) bool {
		return v.from <= to && (v.to == 0 || v.to > from) && is(v.body)
	})
}
