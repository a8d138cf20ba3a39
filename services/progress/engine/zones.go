package engine

import (
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// Zones finds zones by name, and caches them: reading one from the database of zones is slow. It is
// safe for concurrent use.
type Zones struct{ known sync.Map }

// Of returns the zone of a name. One that this program's database of zones has not (profile's may
// be newer) is reckoned as UTC: hours off are better than no answer.
func (z *Zones) Of(name string) progress.Zone {
	if name == "" || name == "UTC" {
		return progress.Zone{Loc: time.UTC}
	}
	if found, ok := z.known.Load(name); ok {
		return found.(progress.Zone) //nolint:forcetypeassert // only zones are stored
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return progress.Zone{Loc: time.UTC}
	}
	found := progress.Zone{Name: name, Loc: loc}
	z.known.Store(name, found)
	return found
}
