package testenv

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the process even when this one is killed.
func dieWithParent(cmd *exec.Cmd, sig syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = sig
}
