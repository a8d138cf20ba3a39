package testenv

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// clockVariable is the environment variable that moves the clock of the tests. It holds the
// instant (RFC 3339) at which the tests of each package begin, or the duration by which the clock is
// ahead of the machine's: what a test process passes to the processes that it starts, so that
// all of them share one clock. The shipped program has no such setting.
const clockVariable = "PRECEPTOR_TEST_CLOCK"

var (
	began = time.Now()
	ahead = sync.OnceValue(func() time.Duration {
		// Read by the tests, not before them: the go command then knows that a cached result
		// depends on it.
		d, err := clockAhead(os.Getenv(clockVariable), began)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", clockVariable, err))
		}
		return d
	})
)

// clockAhead returns how far the clock is ahead of the machine's in a process that began at a time.
func clockAhead(setting string, began time.Time) (time.Duration, error) {
	if setting == "" {
		return 0, nil
	}
	if d, err := time.ParseDuration(setting); err == nil {
		return d, nil
	}
	at, err := time.Parse(time.RFC3339, setting)
	if err != nil {
		return 0, fmt.Errorf("%q is neither a time (RFC 3339) nor a duration", setting)
	}
	return at.Sub(began), nil
}

// ClockMoved reports whether the clock of the tests is not the machine's.
func ClockMoved() bool { return os.Getenv(clockVariable) != "" }

// StartClock makes the present the instant that the environment gives. It is for a TestMain that
// prepares for long, and comes before any use of the clock.
func StartClock() { began = time.Now() }

// Now returns the time by the clock of the tests. Like time.Now's, its results may be subtracted
// from each other to measure durations.
func Now() time.Time { return time.Now().Add(ahead()) }

// Since returns the time that has passed since t, which is a result of Now.
func Since(t time.Time) time.Duration { return Now().Sub(t) }

// Until returns the time that is left until t, which is a result of Now.
func Until(t time.Time) time.Duration { return t.Sub(Now()) }

// TimeLeft returns the time that is left until the deadline of ctx, which is by the machine's
// clock; false if there is none.
func TimeLeft(ctx context.Context) (time.Duration, bool) {
	deadline, ok := ctx.Deadline()
	return time.Until(deadline), ok
}

// DaysAhead returns how many days the clock is ahead of the machine's, rounded up: what to add to
// the life of a certificate that another program makes by the machine's clock.
func DaysAhead() int {
	const day = 24 * time.Hour
	return int((ahead() + day - 1) / day)
}

// ClockEnv returns the environment variables by which a process that uses this package shares the
// clock of this one: none if the clock is not moved.
func ClockEnv() []string {
	if !ClockMoved() {
		return nil
	}
	return []string{clockVariable + "=" + ahead().String()}
}
