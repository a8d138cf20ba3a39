package testenv_test

import (
	"slices"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

func TestFreePortsDiffer(t *testing.T) {
	ports := testenv.FreePorts(t, 20)
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 20 {
		t.Errorf("%v", ports)
	}
}
