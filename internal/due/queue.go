// Package due keeps what is due at some time in the order of these times.
package due

import (
	"container/heap"
	"time"
)

// Order says of the elements of a queue when they are due, and where the queue notes their places.
type Order[E any] interface {
	// Due gives when an element is due. When that changes while it is in the queue, Set must follow.
	Due(e E) time.Time
	// Place is for the queue: where an element stands, from 1. It is 0 while the element is not in the queue.
	Place(e E) *int
}

// Queue holds each element once, the one that is due first in front. Its zero value is empty; O must be usable as its zero value, too.
type Queue[E any, O Order[E]] struct{ list list[E, O] }

// Set puts an element where its time belongs, whether it is in the queue or not.
func (q *Queue[E, O]) Set(e E) {
	var order O
	if place := *order.Place(e); place > 0 {
		heap.Fix(&q.list, place-1)
		return
	}
	heap.Push(&q.list, e)
}

// Drop takes an element out, if it is in.
func (q *Queue[E, O]) Drop(e E) {
	var order O
	if place := *order.Place(e); place > 0 {
		heap.Remove(&q.list, place-1)
	}
}

// First gives the element that is due first; ok is false when there is none.
func (q *Queue[E, O]) First() (e E, ok bool) {
	if len(q.list) == 0 {
		return e, false
	}
	return q.list[0], true
}

// list is a heap.
type list[E any, O Order[E]] []E

func (l list[E, O]) Len() int { return len(l) }

func (l list[E, O]) Less(i, j int) bool {
	var order O
	return order.Due(l[i]).Before(order.Due(l[j]))
}

func (l list[E, O]) Swap(i, j int) {
	var order O
	l[i], l[j] = l[j], l[i]
	*order.Place(l[i]), *order.Place(l[j]) = i+1, j+1
}

// Push adds an element at the end.
func (l *list[E, O]) Push(x any) {
	var order O
	if e, ok := x.(E); ok {
		*l = append(*l, e)
		*order.Place(e) = len(*l)
	}
}

// Pop removes the last element.
func (l *list[E, O]) Pop() any {
	var (
		order O
		none  E
	)
	last := len(*l) - 1
	e := (*l)[last]
	(*l)[last] = none // which nothing must hold on to
	*l = (*l)[:last]
	*order.Place(e) = 0
	return e
}
