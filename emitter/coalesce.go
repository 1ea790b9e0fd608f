package emitter

import (
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// Merging is what becomes of an event and an earlier one of its record that still waits for the same webhook.
type Merging uint8

// The ways to merge. Whatever is left keeps the id, the sequence and the time under which it was committed.
const (
	// Apart: both are sent, one after the other.
	Apart Merging = iota
	// Absorbed: the earlier one is sent with the later one's record; the later one is settled.
	Absorbed
	// Replaced: the later one is sent as it is; the earlier one is settled.
	Replaced
	// Cancelled: both are settled. The record is as it was before the earlier one.
	Cancelled
)

// Merge says what becomes of an event that is being committed and an earlier one of its record, given by its id and its body in the
// format "standard", which was never attempted. The body is that of the earlier one when it absorbs the later one.
//
// The shape is that of the source: changed and previous of two updates are those of the one step from before the first to after the
// last. What a webhook does not get is no news to it, so that for one that filters nothing cancels.
func (w *Webhook) Merge(shape *differ.Shape, id string, earlier []byte, later *Event) (m Merging, body []byte) {
	first, ok := parseStandard(earlier)
	if !ok || first.Source != later.Source || first.Change.Key != later.Change.Key {
		return Apart, nil
	}
	was, is := first.Change.Kind, later.Change.Kind
	switch {
	case was == differ.Created && is == differ.Updated:
		first.Change.Record = later.Change.Record
	case was == differ.Updated && is == differ.Updated:
		delta, err := shape.Diff(first.Change.Delta.Undo(first.Change.Record), later.Change.Record)
		if err != nil {
			return Apart, nil
		}
		if len(delta.Changed) == 0 {
			return w.cancel(), nil
		}
		first.Change.Record, first.Change.Delta = later.Change.Record, delta
	case was == differ.Updated && is == differ.Deleted:
		return Replaced, nil
	case was == differ.Created && is == differ.Deleted:
		return w.cancel(), nil
	default:
		return Apart, nil
	}
	if body = w.Encode(id, &first); body == nil {
		body = EncodeStandard(nil, &first)
	}
	return Absorbed, body
}

func (w *Webhook) cancel() Merging {
	if w.filters() {
		return Apart
	}
	return Cancelled
}

// parseStandard reads a body that EncodeStandard made. Record and previous are parts of it, byte for byte.
func parseStandard(body []byte) (e Event, ok bool) {
	at, err := time.Parse(time.RFC3339, differ.MustPath("timestamp").Get(body).Text())
	data := dataOf(body)
	get := func(name string) differ.Value { return differ.MustPath(name).Get(data) }
	change := get("change").Text()
	kinds := []differ.Kind{differ.Created, differ.Updated, differ.Deleted, differ.Snapshot}
	kind := slices.IndexFunc(kinds, func(k differ.Kind) bool { return k.String() == change })
	sequence, isNumber := get("sequence").Int()
	source, isType := strings.CutSuffix(differ.MustPath("type").Get(body).Text(), "."+change)
	if err != nil || kind < 0 || !isNumber || !isType {
		return Event{}, false
	}
	e = Event{
		Source: get("source").Text(), Type: source, Sequence: sequence, At: at,
		Change: differ.Change{Kind: kinds[kind], Key: get("key").Text(), Record: get("record").Raw},
	}
	if e.Change.Kind == differ.Updated {
		e.Change.Delta.Previous = get("previous").Raw
		for path := range get("changed").Elements() {
			e.Change.Delta.Changed = append(e.Change.Delta.Changed, path.Text())
		}
	}
	return e, true
}

func (w *Webhook) validateCoalesce(p *setting.Problems) {
	if w.Coalesce && w.Order == orderSource {
		p.Add(`write order = "key", or remove it`, `coalesce sends the change of one record in place of two, which order = "source" does not allow`, "coalesce")
	}
}
