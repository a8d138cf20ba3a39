package testenv

import (
	"slices"
	"testing"
)

func TestPortsDiffer(t *testing.T) {
	ports := Ports(t, 20)
	slices.Sort(ports)
	if len(slices.Compact(ports)) != 20 {
		t.Errorf("%v", ports)
	}
}

func TestPortsBelongToTheirTest(t *testing.T) {
	if port := Ports(t, 1)[0]; claim(t, port) {
		t.Errorf("port %d was given twice", port)
	}
}
