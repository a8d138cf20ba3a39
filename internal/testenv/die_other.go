//go:build !linux

package testenv

import (
	"os/exec"
	"syscall"
)

// dieWithParent can do nothing here: servers end by the test's cleanup only.
func dieWithParent(*exec.Cmd, syscall.Signal) {}
