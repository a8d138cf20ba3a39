//go:build unix

package stream

import (
	"errors"
	"syscall"
)

// looks is whether arrived can be used.
const looks = true

// arrived reads what has arrived on a connection, without waiting, and reports whether that is open.
func arrived(conn syscall.RawConn, buf []byte) (n int, open bool) {
	var got error
	err := conn.Read(func(fd uintptr) bool {
		for {
			n, got = syscall.Read(int(fd), buf) // which does not block: connections do not
			if !errors.Is(got, syscall.EINTR) {
				return true
			}
		}
	})
	switch {
	case err != nil:
		return 0, false
	case errors.Is(got, syscall.EAGAIN):
		return 0, true
	}
	return max(n, 0), got == nil && n > 0
}
