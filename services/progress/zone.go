package progress

import "time"

// zone is the calendar that a learner's days and periods are reckoned by.
type zone struct {
	// name is the IANA name; "" is UTC.
	name string
	loc  *time.Location
}
