//go:build realservers

package progress_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// TestOnServers leaves out the tests that start servers of their own, as their names say, and those of
// rules alone that make a database for each of many cases.
func TestOnServers(t *testing.T) {
	rigtest.OnServers(t, "Servers|Postgres|Redis|InWords|MoveOn|Periods|Bases")
}
