//go:build realservers

package report_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// TestOnServers runs on Postgres alone: what is counted over all learners is not cached.
func TestOnServers(t *testing.T) { rigtest.OnPostgres(t, "Servers") }
