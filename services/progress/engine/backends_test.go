//go:build realservers

package engine_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// TestOnServers leaves out the tests that start servers of their own, as their names say, and one that
// needs many tries to find anything.
func TestOnServers(t *testing.T) {
	rigtest.OnServers(t, "Servers|Postgres|Redis|NeverStale$")
}
