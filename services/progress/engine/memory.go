package engine

import (
	"container/list"
	"maps"
	"slices"
	"sync"
	"unsafe"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// memoryBytes is how much a process remembers of learners, about.
const memoryBytes int64 = 32 << 20

// recalled is what this process last read or wrote of a learner. It is a belief: that it is the newest
// shows only where the head that the store has is the same. What it holds is never changed in place
// but by memory.learn; whoever works with facts works with copies.
type recalled struct {
	head progress.Head
	// facts are by module; nil where there are none stored.
	facts map[string]*progress.Facts
	// whole reports whether facts are all that there are, and enrollments and awards are those of the learner.
	whole       bool
	enrollments []progress.Enrollment
	awards      []progress.Award
	// events are the last ones of the log, as far as this process wrote or met them.
	events []progress.KnownEvent
	bytes  int64
}

// recalledEvents is how many events are remembered of a learner: about what is sent again by a device
// that missed an answer. Of older ones the index of the log knows.
const recalledEvents = 8

// learner returns a copy whose parts may be replaced. It is of what is whole.
func (r *recalled) learner() *progress.Learner {
	l := &progress.Learner{Head: r.head, Enrollments: slices.Clone(r.enrollments), Awards: slices.Clone(r.awards)}
	l.Facts = make(map[string]*progress.Facts, len(r.facts))
	for id, f := range r.facts {
		if f != nil {
			l.Facts[id] = f
		}
	}
	return l
}

// recalledOf is what is remembered of a learner who was read whole.
func recalledOf(l *progress.Learner) *recalled {
	return &recalled{head: l.Head, facts: maps.Clone(l.Facts), whole: true, enrollments: slices.Clone(l.Enrollments), awards: slices.Clone(l.Awards)}
}

// lesson is what a commit has changed of a learner.
type lesson struct {
	head        progress.Head
	facts       map[string]*progress.Facts
	enrollments []progress.Enrollment
	awards      []progress.Award
	// loaded reports whether the commit had the enrollments and awards at all.
	loaded bool
	events []progress.KnownEvent
}

// memory is what this process remembers of learners, those that were used last. All of it is of one line of
// the database's history.
type memory struct {
	mu    sync.Mutex
	line  string
	by    map[string]*list.Element
	order *list.List // of *recalled, the last used in front
	bytes int64
	// most is how many bytes it may take.
	most int64
	// hits and misses are the lookups that found what they were for, and the others.
	hits, misses uint64
}

func newMemory(most int64) *memory {
	return &memory{by: map[string]*list.Element{}, order: list.New(), most: most}
}

// get returns what is remembered of a learner; nil for nothing.
func (m *memory) get(learnerID string) *recalled {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.use(learnerID)
	m.count(r != nil)
	return r
}

func (m *memory) count(hit bool) {
	if hit {
		m.hits++
	} else {
		m.misses++
	}
}

// stats returns what is remembered, and how often it was of use.
func (m *memory) stats() MemoryStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return MemoryStats{Hits: m.hits, Misses: m.misses, Learners: len(m.by), Bytes: m.bytes}
}

func (m *memory) use(learnerID string) *recalled {
	e := m.by[learnerID]
	if e == nil {
		return nil
	}
	m.order.MoveToFront(e)
	return e.Value.(*recalled) //nolint:forcetypeassert // the list holds nothing else
}

// learner returns a copy of a learner who is remembered whole, and as of a head; nil where that is not so.
func (m *memory) learner(head progress.Head) *progress.Learner {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.use(head.LearnerID)
	hit := r != nil && r.whole && sameVersion(r.head, head)
	m.count(hit)
	if !hit {
		return nil
	}
	return r.learner()
}

// since returns a copy of a learner who is remembered whole, and no older than a sequence of a line of
// history; nil where that is not so.
func (m *memory) since(learnerID, line string, sequence int64) *progress.Learner {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.use(learnerID)
	hit := r != nil && r.whole && r.head.Timeline == line && r.head.Sequence >= sequence
	m.count(hit)
	if !hit {
		return nil
	}
	return r.learner()
}

// sameVersion reports whether two heads are of the same moment of a learner's.
func sameVersion(a, b progress.Head) bool {
	return a.Timeline == b.Timeline && a.Version == b.Version && a.Sequence == b.Sequence
}

// put remembers what was read of a learner, unless more is known.
func (m *memory) put(r *recalled) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if had := m.use(r.head.LearnerID); had != nil && had.head.Timeline == r.head.Timeline &&
		(had.head.Version > r.head.Version || had.head.Version == r.head.Version && had.whole) {
		return
	}
	m.store(r)
}

// learn brings what is remembered of a learner up to what was committed on top of base.
func (m *memory) learn(base *recalled, l *lesson) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := base
	if had := m.use(base.head.LearnerID); had != nil && had != base && had.head.Timeline == base.head.Timeline {
		switch {
		case had.head.Version > l.head.Version, had.whole && had.head.Version == l.head.Version:
			return // a reader was faster, and has read what was committed
		case had.whole && had.head.Version == base.head.Version:
			r = had // a reader has read more than the commit needed
		}
	}
	r.head = l.head
	if r.facts == nil {
		r.facts = make(map[string]*progress.Facts, len(l.facts))
	}
	maps.Copy(r.facts, l.facts)
	if l.loaded {
		r.enrollments, r.awards = l.enrollments, l.awards
	}
	r.events = append(r.events, l.events...)
	if n := len(r.events); n > recalledEvents {
		r.events = append(make([]progress.KnownEvent, 0, recalledEvents), r.events[n-recalledEvents:]...)
	}
	m.store(r)
}

// store puts r in the place of what was, and forgets those that were not used for longest until the rest
// is small enough.
func (m *memory) store(r *recalled) {
	if r.head.Timeline != m.line { // none of the others is worth anything
		m.clear()
		m.line = r.head.Timeline
	}
	m.remove(r.head.LearnerID)
	r.bytes = r.size()
	m.by[r.head.LearnerID] = m.order.PushFront(r)
	m.bytes += r.bytes
	for m.bytes > m.most {
		m.remove(m.order.Back().Value.(*recalled).head.LearnerID) //nolint:forcetypeassert // the list holds nothing else
	}
}

// forgetAll forgets everybody.
func (m *memory) forgetAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
}

// forget forgets learners.
func (m *memory) forget(learnerIDs []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range learnerIDs {
		m.remove(id)
	}
}

func (m *memory) remove(learnerID string) {
	if e := m.by[learnerID]; e != nil {
		m.bytes -= m.order.Remove(e).(*recalled).bytes //nolint:forcetypeassert // the list holds nothing else
		delete(m.by, learnerID)
	}
}

func (m *memory) clear() {
	m.by = map[string]*list.Element{} // a new one, since a map stays as large as it was
	m.order.Init()
	m.bytes = 0
}

// The memory that parts of a learner take beside their contents.
const (
	entryBytes  = int(unsafe.Sizeof(recalled{})) + 256 // with its places in the list and the map
	factBytes   = 64                                   // a place in the map of facts
	enrollBytes = int(unsafe.Sizeof(progress.Enrollment{})) + 160
	awardBytes  = int(unsafe.Sizeof(progress.Award{})) + 1024 // its rule and its completions
	eventBytes  = int(unsafe.Sizeof(progress.KnownEvent{})) + 64
)

// size is how many bytes it takes, about.
func (r *recalled) size() int64 {
	n := entryBytes + enrollBytes*len(r.enrollments) + awardBytes*len(r.awards) + eventBytes*len(r.events)
	for _, f := range r.facts {
		n += factBytes + f.Size()
	}
	return int64(n)
}
