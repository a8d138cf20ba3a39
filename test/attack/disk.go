package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// diskSize is what the small disk holds: three databases whose logs take four megabytes each, and little more.
const diskSize = "40m"

var errNoSmallDisk = errors.New("no small disk can be made: that needs root, or a namespace of users (unshare --user --mount)")

// smallDisk returns a command that mounts a small file system over a folder, in a namespace of its own,
// copies the key into it, and becomes what follows. Where root may not do that, or somebody else runs this,
// it is done as the root of a namespace of users.
func smallDisk(ctx context.Context, keys, data string) ([]string, error) {
	for _, command := range [][]string{{"unshare", "--mount"}, {"unshare", "--user", "--map-root-user", "--mount"}} {
		mount := "mount -t tmpfs -o size=" + diskSize + `,mode=700 tmpfs "$data"`
		try := append(slices.Clone(command), "/bin/sh", "-c", "data=$1; "+mount, "sh", data)
		if exec.CommandContext(ctx, try[0], try[1:]...).Run() == nil {
			return append(command, "/bin/sh", "-c", `keys=$1 data=$2; shift 2; `+mount+` && cp -p "$keys"/* "$data" && exec "$@"`, "sh", keys, data), nil
		}
	}
	return nil, errNoSmallDisk
}

// attackDisk fills the disk while honest clients write: writes are refused until there is space again, reads
// are not, and the program says which of the two it is.
func attackDisk(ctx context.Context, w *world) error {
	token := w.issuer.token("disk", "learner")
	if a := w.sendAndCount(ctx, request{method: http.MethodGet, path: "/v1/learners/me", token: token}); a == nil || a.status != http.StatusOK {
		return fmt.Errorf("no learner: %v", a)
	}
	// Its first event makes its log, so that there is one to read.
	if a := w.sendAndCount(ctx, w.bigBatch(token)); a == nil || a.status != http.StatusOK {
		return fmt.Errorf("no log: %v", a)
	}
	for range w.dose(1, 3) {
		if err := w.fillOnce(ctx, token); err != nil {
			return err
		}
	}
	return nil
}

// fillOnce fills the disk, looks at what happens, and frees it.
func (w *world) fillOnce(ctx context.Context, token string) error {
	filler := filepath.Join("/proc", strconv.Itoa(w.life.Load().cmd.Process.Pid), "root", w.data, "filler")
	file, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(filler)
	fill := func() error {
		for _, size := range []int{1 << 20, 1 << 12} {
			for {
				if _, err := file.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
					break
				} else if err != nil {
					return err
				}
			}
		}
		return nil
	}
	full := false
	for n := 0; n < 3000 && !full; n++ {
		if err := fill(); err != nil { // again and again, for the program gives space back now and then
			return err
		}
		a := w.sendAndCount(ctx, w.bigBatch(token))
		full = a != nil && a.status == http.StatusServiceUnavailable && a.problem().Reason == "DATABASE_FULL"
		if a != nil && a.status != http.StatusOK && !full {
			w.tally.faultf("a write to a full disk: %d %.200q", a.status, a.body)
		}
	}
	if !full {
		w.tally.faultf("the disk is full, and no write was refused for it")
	}
	w.whileFull(ctx, token)
	if err := errors.Join(file.Truncate(0), file.Close(), os.Remove(filler)); err != nil {
		return err
	}
	err = eventually(ctx, "a write after there is space again", func() bool {
		a := w.sendAndCount(ctx, w.bigBatch(token))
		return a != nil && a.status == http.StatusOK
	})
	if err == nil {
		err = w.awaitReady(ctx)
	}
	if err != nil {
		w.tally.faultf("%v", err)
	}
	return nil
}

// whileFull reads what there is, and looks at what the program says of itself.
func (w *world) whileFull(ctx context.Context, token string) {
	for _, path := range []string{"/v1/topics", "/v1/learners/me", "/v1/learners/me/events?pageSize=1", "/v1/paths/" + honestPath, "/healthz"} {
		if a := w.sendAndCount(ctx, request{method: http.MethodGet, path: path, token: token}); a != nil && a.status != http.StatusOK {
			w.tally.faultf("reading %s with a full disk: %d %.200q", path, a.status, a.body)
		}
	}
	newcomer := w.issuer.token(fmt.Sprint("newcomer-", w.dice.Uint64()), "learner")
	for _, path := range []string{"progress", "events", "enrollments", "recommendedPaths"} {
		if a := w.sendAndCount(ctx, request{method: http.MethodGet, path: "/v1/learners/me/" + path, token: newcomer}); a != nil && a.status != http.StatusOK {
			w.tally.faultf("a newcomer reading %s with a full disk: %d %.200q", path, a.status, a.body)
		}
	}
	err := eventually(ctx, "readyz names the full disk", func() bool {
		w.sendAndCount(ctx, w.bigBatch(token))
		a, err := send(ctx, w.client, w.healthAddr(), request{method: http.MethodGet, path: "/readyz"})
		return err == nil && strings.Contains(strings.ToLower(string(a.body)), "full")
	})
	if err != nil {
		w.tally.faultf("%v", err)
	}
}

// bigBatch is a request that makes the log longer.
func (w *world) bigBatch(token string) request {
	g := &generator{dice: w.dice}
	var events []any
	for range 40 {
		events = append(events, w.progressed(g.uuid(), 0))
	}
	return request{method: http.MethodPost, path: "/v1/learners/me/events:batch", token: token}.asJSON(map[string]any{"events": events})
}
