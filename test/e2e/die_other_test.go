//go:build !linux

package e2e

import "syscall"

// dieWithUs needs Linux to do more.
func dieWithUs() *syscall.SysProcAttr { return nil }
