package naivetest

import (
	"time"
)

// excuse returns since when and why the learner can no longer complete a module, or nil: it is
// archived, and they had not begun it or the time to finish it is over. The module then is neither
// done nor required. A commit waits for an hour before it believes that.
func (j *judge) excuse(id string) *Excuse {
	since := j.Now
	if j.Latching {
		since = since.Add(-regretted)
	}
	return j.excuseAt(id, j.Now, since, j.creditOf(id).label != "")
}

// excuseAt is excuse at a time, for what has begun by another one not after it.
func (j *judge) excuseAt(id string, at, since time.Time, done bool) *Excuse {
	m := j.Catalog.Modules[id]
	if done || m == nil {
		return nil
	}
	stay := stayAt(m, at)
	if stay == nil {
		return nil
	}
	e := &Excuse{Since: stay.ArchiveTime.UTC(), Reason: Archived}
	if begun := j.modules[id].begun; !begun.IsZero() && begun.Before(stay.ArchiveTime) {
		e = &Excuse{Since: stay.SunsetTime.UTC(), Reason: AfterSunset}
	}
	if e.Since.IsZero() || e.Since.After(since) {
		return nil
	}
	return e
}
