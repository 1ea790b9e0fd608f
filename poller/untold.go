package poller

import "github.com/deltahook/deltahook/differ"

// untold is the value of Untold once what is known changes without events. As long as there was no event, receivers know nothing.
func (s *State) untold() bool { return s.Untold || s.Sequence > 0 }

// departed says that nothing is known of a source of which there were events: it was away until the store forgot it.
func (s *State) departed() bool { return s.Sequence > 0 && s.Records == 0 && s.Baselined.IsZero() }

// keepLast lets nothing cancel that was merged with the event where a receiver may have the record from before what waits for it: then
// only the event takes it away, or makes it right. That is everywhere when untold, and else where the webhook missed what happened
// last to the record, because it was away.
func (e *Event) keepLast(untold bool) {
	for i := range e.To {
		c := &e.To[i]
		if c.Merge == nil {
			continue
		}
		merge := c.Merge
		c.Merge = func(id string, waiting []byte, missed bool) (Merging, []byte) {
			m, body := merge(id, waiting, missed)
			switch {
			case m != Cancelled || !untold && !missed:
			case e.Change == differ.Deleted:
				m = Replaced
			default:
				m = Apart
			}
			return m, body
		}
	}
}
