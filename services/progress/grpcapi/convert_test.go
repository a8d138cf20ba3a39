package grpcapi

import (
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// TestLateBy writes how late something was reported as an ISO 8601 duration.
func TestLateBy(t *testing.T) {
	const day = 24 * time.Hour
	for by, want := range map[time.Duration]string{
		0:                                       "",
		7 * day:                                 "",
		7*day + time.Microsecond:                "P7D",
		8*day + 999*time.Millisecond:            "P8D",
		9*day + 4*time.Hour:                     "P9DT4H",
		30*day + 5*time.Second:                  "P30DT5S",
		400*day + 23*time.Hour + 59*time.Minute: "P400DT23H59M",
		8*day + time.Hour + 2*time.Minute + 3*time.Second: "P8DT1H2M3S",
	} {
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		got := lateBy(&progress.Record{EffectiveAt: at, ReceivedAt: at.Add(by)})
		if (got == nil) != (want == "") || got != nil && *got != want {
			t.Errorf("%v late is %v, want %q", by, got, want)
		}
	}
}
