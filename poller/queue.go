package poller

import "container/heap"

// queue orders sources by when they are due.
type queue []*task

// Len is part of heap.Interface.
func (q queue) Len() int { return len(q) }

// Less is part of heap.Interface.
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

// Swap is part of heap.Interface.
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push is part of heap.Interface.
func (q *queue) Push(x any) {
	if e, ok := x.(*task); ok {
		e.place = len(*q)
		*q = append(*q, e)
	}
}

// Pop is part of heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.place = -1
	return e
}

// set puts an entry where its due time belongs.
func (q *queue) set(e *task) {
	if e.place >= 0 {
		heap.Fix(q, e.place)
		return
	}
	heap.Push(q, e)
}

// drop takes an entry out, if it is in.
func (q *queue) drop(e *task) {
	if e.place >= 0 {
		heap.Remove(q, e.place)
	}
}
