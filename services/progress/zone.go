package progress

import "time"

// Zone is the calendar that a learner's days and periods are reckoned by.
type Zone struct {
	// name is the IANA name; "" is UTC.
	Name string
	Loc  *time.Location
}
