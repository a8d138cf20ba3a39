package naivetest

import (
	"slices"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// streak counts the days in a row on which the learner learned something. The day of an event is that
// of the zone in force then, for ever: moving rewrites nothing. What an admin recorded, and what does
// not count, is no learning. The run that ends today, or yesterday while today has nothing yet, is the
// current one; today is at least the last day that has something.
func (j *judge) streak() Streak {
	var days []int
	for id := range j.Catalog.Modules {
		for _, e := range j.modules[id].counted {
			if e.ActorID == j.LearnerID && e.Event.Verb != progress.Waived {
				days = append(days, dayOf(e.EffectiveAt, e.Zone))
			}
		}
	}
	if len(days) == 0 {
		return Streak{}
	}
	slices.Sort(days)
	days = slices.Compact(days)
	out, run := Streak{}, 0
	for i, day := range days {
		if i > 0 && day != days[i-1]+1 {
			run = 0
		}
		run++
		out.Longest = max(out.Longest, run)
	}
	last := days[len(days)-1]
	if today := max(last, dayOf(j.Now, j.Zone)); last >= today-1 {
		out.Current = run
	}
	out.Last = dateOf(last)
	return out
}
