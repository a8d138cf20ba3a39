package bounds

import (
	"container/list"
	"sync"
)

// Latest holds so many things at most: one more ends the oldest. It is for what is short when it is honest,
// so that whoever holds many for long loses them, and nobody else is refused. Safe for concurrent use.
type Latest struct {
	most int

	mu   sync.Mutex
	held list.List // of the functions that end them, the oldest first
}

// NewLatest returns a Latest of so many.
func NewLatest(most int) *Latest { return &Latest{most: most} }

// Add holds a thing until remove is called. end is called if the thing is to end before.
func (l *Latest) Add(end func()) (remove func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := l.held.PushBack(end)
	if l.held.Len() > l.most {
		if oldest, ok := l.held.Remove(l.held.Front()).(func()); ok {
			go oldest() // it may wait for what Add's caller holds
		}
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.held.Remove(mine) // nothing, once it has ended
	}
}
