//go:build !unix

package stream

import "syscall"

// looks is whether arrived can be used.
const looks = false

func arrived(syscall.RawConn, []byte) (n int, open bool) { return 0, true }
