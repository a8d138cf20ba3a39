package bounds

import "time"

// bucket holds what may still be done: level at a time, and more since. It may owe some. One that is to be
// full begins full.
type bucket struct {
	level float64
	at    time.Time
}

// fill adds what has come into it since, up to full. A clock that was set back adds nothing, and does not
// keep it from filling.
func (b *bucket) fill(perSecond, full float64, at time.Time) {
	if passed := at.Sub(b.at).Seconds(); passed > 0 {
		b.level = min(b.level+passed*perSecond, full)
	}
	b.at = at
}
