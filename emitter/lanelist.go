package emitter

// laneList is a list of lanes in the order of their turns. A lane stands in one at most, and has its links itself: it comes and goes with
// each delivery.
type laneList struct{ first, last *lane }

// push puts a lane, which is in no list, at the end.
func (s *laneList) push(l *lane) {
	l.in, l.prev = s, s.last
	if s.last == nil {
		s.first = l
	} else {
		s.last.next = l
	}
	s.last = l
}

// remove takes a lane of this list out.
func (s *laneList) remove(l *lane) {
	if l.prev == nil {
		s.first = l.next
	} else {
		l.prev.next = l.next
	}
	if l.next == nil {
		s.last = l.prev
	} else {
		l.next.prev = l.prev
	}
	l.in, l.prev, l.next = nil, nil, nil
}
