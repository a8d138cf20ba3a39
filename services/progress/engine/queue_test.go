package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// weighing is work of so many events.
func weighing(learner string, events int) *job {
	return &job{learnerID: learner, work: &delivery{events: make([]*progress.Judged, events)}, done: make(chan struct{})}
}

func queued(t *testing.T, q *queue, jobs ...*job) {
	t.Helper()
	for _, j := range jobs {
		if err := q.put(j); err != nil {
			t.Fatal(err)
		}
	}
}

// names writes a group as its learners and their events.
func names(group []*job) string {
	var out strings.Builder
	for _, j := range group {
		fmt.Fprint(&out, j.learnerID, len(j.work.judged()), " ")
	}
	return out.String()
}

func wantGroup(t *testing.T, group []*job, want string) {
	t.Helper()
	if got := names(group); got != want {
		t.Errorf("the group is %q, want %q", got, want)
	}
}

func TestOneGroupRunsUntilMuchWaits(t *testing.T) {
	t.Parallel()
	q := newQueue()
	queued(t, q, weighing("a", 1), weighing("b", 2))
	first := q.take()
	wantGroup(t, first, "a1 b2 ")
	queued(t, q, weighing("c", secondEvents-1))
	if group := q.group(); group != nil {
		t.Errorf("%q did not wait for the group that runs", names(group))
	}
	queued(t, q, weighing("d", 1))
	wantGroup(t, q.take(), fmt.Sprint("c", secondEvents-1, " d1 "))
	queued(t, q, weighing("e", 1))
	q.finish(first)
	if group := q.group(); group != nil {
		t.Errorf("%q did not wait for the second group", names(group))
	}
}

func TestALearnersJobsStayInOrder(t *testing.T) {
	t.Parallel()
	q := newQueue()
	queued(t, q, weighing("a", 40), weighing("a", 40), weighing("b", 1), weighing("a", 3), weighing("c", maxBatchEvents-42), weighing("d", 1))
	first := q.take()
	// Not a's last job before its second one, which is too much beside the first.
	wantGroup(t, first, fmt.Sprint("a40 b1 ", "c", maxBatchEvents-42, " d1 "))
	queued(t, q, weighing("e", secondEvents))
	second := q.take()
	wantGroup(t, second, fmt.Sprint("e", secondEvents, " ")) // a is in a group that is being written
	q.finish(second)
	q.finish(first)
	wantGroup(t, q.take(), "a40 a3 ")
	if n := q.length(); n != 0 || q.events != 0 {
		t.Errorf("%d jobs and %d events wait", n, q.events)
	}
}

func TestAQueueHasBounds(t *testing.T) {
	t.Parallel()
	q := newQueue()
	for range maxLearnerJobs {
		queued(t, q, weighing("busy", 0))
	}
	if err := q.put(weighing("busy", 0)); errs.ReasonOf(err) != errs.ReasonLearnerBusy {
		t.Errorf("one more of a learner who has enough: %v", err)
	}
	for i := range queueLength - maxLearnerJobs {
		queued(t, q, weighing(fmt.Sprint(i), 0))
	}
	if err := q.put(weighing("late", 0)); errs.ReasonOf(err) != errs.ReasonQueueFull {
		t.Errorf("one more than there is room for: %v", err)
	}
	q.close()
	if err := q.put(weighing("later", 0)); errs.ReasonOf(err) != errs.ReasonShuttingDown {
		t.Errorf("after the end: %v", err)
	}
	left := 0
	for group := q.take(); group != nil; group = q.take() { // what was taken is written
		left += len(group)
		q.finish(group)
	}
	if left != queueLength {
		t.Errorf("%d of %d jobs were taken before the end", left, queueLength)
	}
}
