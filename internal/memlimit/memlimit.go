// Package memlimit reads how much memory the control group of this process may have.
package memlimit

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// unlimited is more than any machine has: version 1 has a number for no limit, near the largest.
const unlimited = 1 << 60

// Cgroup returns the least limit, in bytes, of this process's control group and of those that it is in, and
// whether there is one. root is the file system with /proc and /sys; a file that is not there is no limit.
func Cgroup(root fs.FS) (limit int64, ok bool) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	limit = unlimited
	for line := range strings.Lines(string(groups)) {
		// 0::/group for version 2, and 4:memory:/group for a controller of version 1.
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, found := strings.Cut(rest, ":")
		switch {
		case !found:
		case id == "0" && controllers == "":
			limit = min(limit, least(root, "sys/fs/cgroup", group, "memory.max"))
		case hasMemory(controllers):
			limit = min(limit, least(root, "sys/fs/cgroup/memory", group, "memory.limit_in_bytes"))
		}
	}
	return limit, limit < unlimited
}

func hasMemory(controllers string) bool {
	for name := range strings.SplitSeq(controllers, ",") {
		if name == "memory" {
			return true
		}
	}
	return false
}

// least is the least limit of a group and of those above it. A container that does not see the path of its
// group finds its own limit at the top.
func least(root fs.FS, top, group, file string) int64 {
	limit := int64(unlimited)
	for group = path.Join("/", group); ; group = path.Dir(group) {
		if n, ok := read(root, path.Join(top, group, file)); ok {
			limit = min(limit, n)
		}
		if group == "/" {
			return limit
		}
	}
}

// read reads one limit; "max" is none.
func read(root fs.FS, name string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && n > 0
}
