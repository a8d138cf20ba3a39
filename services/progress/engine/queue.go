package engine

import (
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// The queue's bounds.
const (
	// maxBatchEvents is how many events one transaction takes at most.
	maxBatchEvents = 256
	// maxJobEvents is how many of them one caller may bring: a long offline batch goes in
	// pieces, so that no other caller waits for it as a whole.
	maxJobEvents = 64
	// secondEvents is how much must wait before a transaction begins while another runs. What is written
	// together costs less, so that what can wait for the running one does.
	secondEvents = 64
	// queueLength is how many jobs may wait, maxLearnerJobs how many of one learner's.
	queueLength    = 1024
	maxLearnerJobs = 32
)

// queue holds the jobs in the order in which they came. A learner's jobs are never in two groups at a
// time, so that they are done in that order.
type queue struct {
	mu     sync.Mutex
	ready  sync.Cond
	closed bool
	// waiting are the jobs that nobody has taken, events how much they weigh.
	waiting []*job
	events  int
	// pending are the jobs by learner, waiting or taken; busy are the learners of the groups that are taken.
	pending map[string]int
	busy    map[string]bool
	groups  int
}

func newQueue() *queue {
	q := &queue{pending: map[string]int{}, busy: map[string]bool{}}
	q.ready.L = &q.mu
	return q
}

// weight is what a job counts for in a group: its events, and where it has none it is as much work as one.
func (j *job) weight() int { return max(1, len(j.work.judged())) }

// put queues a job. It returns ResourceExhausted when the queue is full, or has enough of this learner's;
// Unavailable when it is closed.
func (q *queue) put(j *job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errs.New(errs.Unavailable, errs.ReasonShuttingDown, "the service is shutting down; send it again")
	}
	if q.pending[j.learnerID] >= maxLearnerJobs {
		e := errs.New(errs.ResourceExhausted, errs.ReasonLearnerBusy, "too many writes of this learner's are waiting; send it again a little later")
		e.RetryAfter = time.Second
		return e
	}
	if len(q.waiting) >= queueLength {
		e := errs.New(errs.ResourceExhausted, errs.ReasonQueueFull, "too many writes are waiting; send it again a little later")
		e.RetryAfter = time.Second
		return e
	}
	q.waiting = append(q.waiting, j)
	q.events += j.weight()
	q.pending[j.learnerID]++
	if q.groups == 0 || q.events >= secondEvents { // else nobody would take it yet
		q.ready.Signal()
	}
	return nil
}

// take returns the next group, as soon as there is one; nil when the queue is closed and empty.
func (q *queue) take() []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if group := q.group(); len(group) > 0 {
			return group
		}
		if q.closed && len(q.waiting) == 0 {
			return nil
		}
		q.ready.Wait()
	}
}

// group takes what waits, up to a full batch of which no learner has more than one full job. What does
// not fit, and what comes after it of the same learner, stays.
func (q *queue) group() []*job {
	if q.groups > 0 && q.events < secondEvents {
		return nil
	}
	var group []*job
	own, later := map[string]int{}, map[string]bool{}
	left, events := q.waiting[:0], 0
	for i, j := range q.waiting {
		weight := j.weight()
		switch {
		case events+weight > maxBatchEvents:
			left = append(left, q.waiting[i:]...)
		case q.busy[j.learnerID] || later[j.learnerID] || own[j.learnerID] > 0 && own[j.learnerID]+weight > maxJobEvents:
			later[j.learnerID] = true
			left = append(left, j)
			continue
		default:
			group = append(group, j)
			own[j.learnerID] += weight
			events += weight
			continue
		}
		break
	}
	clear(q.waiting[len(left):])
	q.waiting = left
	if len(group) == 0 {
		return nil
	}
	q.events -= events
	q.groups++
	for id := range own {
		q.busy[id] = true
	}
	return group
}

// finish lets the callers of a group read what came of their jobs.
func (q *queue) finish(group []*job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.groups--
	for _, j := range group {
		delete(q.busy, j.learnerID)
		if q.pending[j.learnerID]--; q.pending[j.learnerID] == 0 {
			delete(q.pending, j.learnerID)
		}
		close(j.done)
	}
	q.ready.Broadcast() // what waited for these learners, and for the end
}

// length is how many jobs wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// close has put refuse, and take end when nothing waits any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.ready.Broadcast()
}
