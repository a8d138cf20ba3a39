package e2e

import "syscall"

// dieWithUs has the program killed when the tests end in whatever way.
func dieWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
