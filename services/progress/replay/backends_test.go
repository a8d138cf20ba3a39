//go:build realservers

package replay_test

import (
	"testing"

	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

func TestOnServers(t *testing.T) { rigtest.OnServers(t, "Servers") }
