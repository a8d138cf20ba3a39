package memlimit

import (
	"testing"
	"testing/fstest"
)

func TestCgroup(t *testing.T) {
	t.Parallel()
	const none = "9223372036854771712\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64 // 0 for none
	}{
		"no control groups": {map[string]string{}, 0},
		"version 2 in a container": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "402653184\n",
		}, 402653184},
		"version 2, of a slice above": {map[string]string{
			"proc/self/cgroup": "0::/system.slice/preceptor.service\n",
			"sys/fs/cgroup/system.slice/preceptor.service/memory.max": "max\n",
			"sys/fs/cgroup/system.slice/memory.max":                   "536870912\n",
		}, 536870912},
		"version 2, the least of several": {map[string]string{
			"proc/self/cgroup":             "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "1000\n",
			"sys/fs/cgroup/a/memory.max":   "2000\n",
		}, 1000},
		"version 2 without a limit": {map[string]string{
			"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n",
		}, 0},
		"version 1": {map[string]string{
			"proc/self/cgroup": "12:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n1:name=systemd:/docker/x\n",
			"sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "268435456\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":          none,
		}, 268435456},
		"version 1 in a container, whose path is the host's": {map[string]string{
			"proc/self/cgroup":                           "4:memory,hugetlb:/docker/x\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "134217728\n",
		}, 134217728},
		"version 1 without a limit": {map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": none,
		}, 0},
		"both": {map[string]string{
			"proc/self/cgroup": "4:memory:/a\n0::/a\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "300\n", "sys/fs/cgroup/a/memory.max": "200\n",
		}, 200},
		"what is no number": {map[string]string{
			"proc/self/cgroup": "0::/\nnothing\n\n", "sys/fs/cgroup/memory.max": "much\n",
		}, 0},
	} {
		root := fstest.MapFS{}
		for file, text := range c.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		got, ok := Cgroup(root)
		if ok != (c.want > 0) || ok && got != c.want {
			t.Errorf("%s: %d, %v; want %d", name, got, ok, c.want)
		}
	}
}
