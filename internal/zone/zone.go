// Package zone knows the time zones by their IANA names: those that the program carries, on
// whatever machine it runs, so that a name means the same to every service and replica.
package zone

import (
	_ "embed"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // The machine may have no zones, or fewer.
)

//go:generate go test . -run ^TestNames$ -update

// names has a line for each zone, below one that says what they are.
//
//go:embed names.txt
var names string

// loaded has the zones that were asked for, by their names: reading one is slow. Only known names
// are stored, so it stays small.
//
//nolint:gochecknoglobals // a cache of what never changes, shared by all
var loaded sync.Map

// Known reports whether a text is the name of a time zone: "Europe/Berlin", "UTC", "EST5EDT".
// Names are compared byte by byte. Other files that time.LoadLocation finds on some machines
// ("posix/Europe/Berlin", "right/UTC", "localtime"), "Local" and the empty name are none, nor is
// "Factory", the zone of a machine whose zone was never set.
func Known(name string) bool {
	return name != "" && !strings.Contains(name, "\n") && strings.Contains(names, "\n"+name+"\n")
}

// Of returns the zone of a name; UTC for the empty name, and for one that is not known. It is
// safe for concurrent use.
func Of(name string) *time.Location {
	if name == "" || name == "UTC" {
		return time.UTC
	}
	if loc, ok := loaded.Load(name); ok {
		return loc.(*time.Location) //nolint:forcetypeassert // nothing else is stored
	}
	if !Known(name) {
		return time.UTC
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC // time/tzdata has every known name; TestNames checks it.
	}
	// All callers get the same zone, so that times in it may be compared with ==.
	first, _ := loaded.LoadOrStore(strings.Clone(name), loc)
	return first.(*time.Location) //nolint:forcetypeassert // nothing else is stored
}
