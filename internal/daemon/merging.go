package daemon

import (
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/poller"
)

// merging gives how an event is merged with one that waits for the webhook; nil when the webhook gets each event for itself.
func (o *outlet) merging(w *emitter.Webhook, source *poller.Source, e *emitter.Event) func(string, []byte, bool) (poller.Merging, []byte) {
	if !w.Coalesce {
		return nil
	}
	return func(id string, waiting []byte, _ bool) (poller.Merging, []byte) {
		spec := source.Spec()
		shape, err := spec.Compile()
		if err != nil { // it was validated
			return poller.Apart, nil
		}
		m, body := w.Merge(shape, id, waiting, e)
		return map[emitter.Merging]poller.Merging{
			emitter.Apart: poller.Apart, emitter.Absorbed: poller.Absorbed, emitter.Replaced: poller.Replaced, emitter.Cancelled: poller.Cancelled,
		}[m], body
	}
}

// settled says whether nothing is left to send of a copy.
func settled(m poller.Merging) bool { return m == poller.Absorbed || m == poller.Cancelled }

// countMerges notes what becomes of the copies of an event, once the store asks.
func (h *handover) countMerges(e *poller.Event) {
	for i := range e.To {
		c := &e.To[i]
		if c.Merge == nil {
			continue
		}
		merge, webhook := c.Merge, c.Webhook
		c.Merge = func(id string, waiting []byte, missed bool) (poller.Merging, []byte) {
			m, body := merge(id, waiting, missed)
			if n := map[poller.Merging]int{poller.Absorbed: 1, poller.Replaced: 1, poller.Cancelled: 2}[m]; n > 0 {
				if h.merged == nil {
					h.merged = map[string]int{}
				}
				h.merged[webhook] += n
			}
			return m, body
		}
	}
}
