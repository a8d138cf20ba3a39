package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc's times: USER_HZ, 100 on every Linux that people run.
const tick = 10 * time.Millisecond

// spent is the processor time of each part since it began.
type spent [parts]time.Duration

func (s spent) since(before spent) spent {
	for p := range s {
		s[p] -= before[p]
	}
	return s
}

// spent asks the kernel. Postgres is its first process, with all of its own, those that ended included.
func (f *fleet) spent() (spent, error) {
	var out spent
	for p, pids := range f.pids {
		for _, pid := range pids {
			used, err := processorTime(pid, part(p) == atPostgres)
			if err != nil {
				return out, err
			}
			out[p] += used
		}
	}
	return out, nil
}

// processes are the parts of a fleet.
func (f *fleet) processes() []process {
	var out []process
	for p, pids := range f.pids {
		for _, pid := range pids {
			out = append(out, process{partName(part(p)), pid, part(p) == atPostgres})
		}
	}
	return out
}

// process is what processor time and memory are asked of; several of one name count as one.
type process struct {
	name string
	pid  int
	// family means that its own processes count too, those that ended included; its memory is not looked at,
	// since they share most of it.
	family bool
}

// usage is the processor time of processes since they began, by name.
func usage(of []process) (map[string]time.Duration, error) {
	out := map[string]time.Duration{}
	for _, p := range of {
		used, err := processorTime(p.pid, p.family)
		if err != nil {
			return nil, err
		}
		out[p.name] += used
	}
	return out, nil
}

// memory is the resident set of processes together, in MB.
func memory(of []process) float64 {
	sum := 0.0
	for _, p := range of {
		if !p.family {
			sum += statusOf(p.pid, "VmRSS:")
		}
	}
	return sum
}

// statusOf is a line of what the kernel says of a process's memory, in MB.
func statusOf(pid int, name string) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				return 0
			}
			return float64(kb) / 1024
		}
	}
	return 0
}

func processorTime(pid int, family bool) (time.Duration, error) {
	own, ended, _, err := readStat(pid)
	if err != nil || !family {
		return own, err
	}
	total := own + ended
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return 0, err
		}
		used, _, parent, err := readStat(child)
		if err == nil && parent == pid { // one that has ended since is the parent's by now
			total += used
		}
	}
	return total, nil
}

// readStat returns a process's own time, that of its children which ended, and its parent.
func readStat(pid int) (own, ended time.Duration, parent int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before it may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return 0, 0, 0, errors.New("/proc has a stat of another form")
	}
	var n [5]int64
	for i, field := range []int{1, 11, 12, 13, 14} { // ppid utime stime cutime cstime
		if n[i], err = strconv.ParseInt(fields[field], 10, 64); err != nil {
			return 0, 0, 0, err
		}
	}
	return time.Duration(n[1]+n[2]) * tick, time.Duration(n[3]+n[4]) * tick, int(n[0]), nil
}

// position is how far the stores are.
type position struct {
	// wal is Postgres's log position, and commits the transactions that wrote, of all databases.
	wal     string
	commits int64
	// tables are the bytes of all of progress's and profile's, indexes included.
	tables float64

	redisBytes, redisCommands int64
}

func (f *fleet) position(ctx context.Context) (position, error) {
	var w position
	err := f.admin.QueryRowContext(ctx, `SELECT pg_current_wal_flush_lsn()::text, pg_snapshot_xmax(pg_current_snapshot())::text::bigint`).Scan(&w.wal, &w.commits)
	if err != nil {
		return w, err
	}
	err = f.admin.QueryRowContext(ctx, `SELECT sum(pg_total_relation_size(c.oid))::float8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname IN ('progress', 'profile')`).Scan(&w.tables)
	if err != nil {
		return w, err
	}
	info, err := f.redis.InfoMap(ctx, "memory", "stats").Result()
	if err != nil {
		return w, err
	}
	w.redisBytes, err = strconv.ParseInt(info["Memory"]["used_memory"], 10, 64)
	if err != nil {
		return w, err
	}
	w.redisCommands, err = strconv.ParseInt(info["Stats"]["total_commands_processed"], 10, 64)
	return w, err
}

// logged is what Postgres wrote into its log between two positions: records, and images of whole
// pages, one when a page is first changed after a checkpoint.
type logged struct{ records, images, pages float64 }

func (f *fleet) logged(ctx context.Context, from, to string) (logged, error) {
	var l logged
	if from == to {
		return l, nil
	}
	err := f.admin.QueryRowContext(ctx, `SELECT coalesce(sum(record_length - fpi_length), 0)::float8, coalesce(sum(fpi_length), 0)::float8,
		count(*) FILTER (WHERE fpi_length > 0)::float8 FROM pg_get_wal_records_info($1::text::pg_lsn, $2::text::pg_lsn)`, from, to).
		Scan(&l.records, &l.images, &l.pages)
	return l, err
}

// memory sums a line of what the kernel says of the memory of a part's processes, in bytes.
func (f *fleet) memory(p part, name string) float64 {
	sum := 0.0
	for _, pid := range f.pids[p] {
		sum += statusOf(pid, name)
	}
	return sum * (1 << 20)
}

// load is the machine's load average over a minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(text))[0]
}
