package progress

import (
	"sync"
	"time"
)

// zone is the calendar that a learner's days and periods are reckoned by.
type zone struct {
	// name is the IANA name; "" is UTC.
	name string
	loc  *time.Location
}

// zones finds zones by name, and keeps them: reading one from the database of zones is slow. It is
// safe for concurrent use.
type zones struct{ known sync.Map }

// of answers the zone of a name. One that this program's database of zones has not (profile's may
// be newer) is reckoned as UTC: hours off are better than no answer.
func (z *zones) of(name string) zone {
	if name == "" || name == "UTC" {
		return zone{loc: time.UTC}
	}
	if found, ok := z.known.Load(name); ok {
		return found.(zone) //nolint:forcetypeassert // only zones are stored
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return zone{loc: time.UTC}
	}
	found := zone{name, loc}
	z.known.Store(name, found)
	return found
}
