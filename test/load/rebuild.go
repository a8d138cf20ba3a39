package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// perModule is how many events a learner has of each module.
const perModule = 10

// logs are the learners' logs to make.
type logs struct {
	events, modules int
	// dir is where the data folder is made, and left; a temporary one otherwise.
	dir   string
	write bool
}

// benchRebuild makes the logs, and times `preceptor progress rebuild` with no facts stored, then
// `preceptor progress verify`, each as a process of its own.
func benchRebuild(ctx context.Context, args []string) error {
	var l logs
	flags := newFlags("rebuild", "Times replaying logs. Wants 5 GB of disk for ten million events.", "rebuild -events 1000000", "rebuild -dir /tmp/logs -write")
	flags.IntVar(&l.events, "events", 10_000_000, "events in all")
	flags.IntVar(&l.modules, "modules", 50, "modules that each learner has events of, ten each")
	flags.StringVar(&l.dir, "dir", "", "make the data in this folder, and keep it; what it has is used as it is")
	write := writeFlag(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	l.write = *write
	dir, bin, remove, err := workFolder(ctx)
	if err != nil {
		return err
	}
	defer remove()
	data, at := cmp.Or(l.dir, dataFolder(dir)), begin()
	if _, err := os.Stat(filepath.Join(data, "made")); err != nil {
		if err := l.make(ctx, bin, data); err != nil {
			return err
		}
	}
	if err := wipe(ctx, data); err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString("| command | events/s | time | processor time | µs an event | most memory |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, command := range []string{"rebuild", "verify"} { // a rebuild repairs what the verification then looks at
		row, err := l.time(ctx, bin, data, command)
		if err != nil {
			return err
		}
		text.WriteString(row)
	}
	about := fmt.Sprintf("%d events of %d learners, %d modules each", l.learners()*l.modules*perModule, l.learners(), l.modules)
	return publish(l.write, performanceFile, "rebuild", at.text(ctx, about)+text.String())
}

func (l *logs) learners() int { return l.events / l.modules / perModule }

// time runs the command on the folder, and returns its row.
func (l *logs) time(ctx context.Context, bin, data, command string) (string, error) {
	say(command + " …")
	cmd := exec.CommandContext(ctx, bin, "progress", command, "--data", data, "--server", "http://127.0.0.1:1")
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("progress %s: %w", command, err)
	}
	took := time.Since(began)
	var memory float64
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		memory = float64(usage.Maxrss) / 1024
	}
	events := float64(l.learners() * l.modules * perModule)
	processor := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return fmt.Sprintf("| progress %s | %.0f | %.0f s | %.0f s | %.1f | %.0f MB |\n", command, events/took.Seconds(), took.Seconds(),
		processor, processor/events*1e6, memory), nil
}

// wipe takes every stored fact away.
func wipe(ctx context.Context, data string) error {
	db, err := openData(data)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, `DELETE FROM module_facts`)
	return err
}

// make has one learner send all of their events, and copies that learner.
func (l *logs) make(ctx context.Context, bin, data string) error {
	say(fmt.Sprintf("making %d events …", l.events))
	if err := l.template(ctx, bin, data); err != nil {
		return err
	}
	if err := copyLearners(ctx, data, twins(l.learners()-1)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(data, "made"), nil, 0o600)
}

// template makes the one learner.
func (l *logs) template(ctx context.Context, bin, data string) error {
	ports := &scope{dir: data}
	defer ports.end()
	addresses, err := ports.addresses(1)
	if err != nil {
		return err
	}
	s, err := startAgain(ctx, addresses[0], bin, data)
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := newClass(ctx, s, data, 1)
	if err != nil {
		return err
	}
	if c.targets, err = l.targets(ctx, c); err != nil {
		return err
	}
	return c.send(ctx, c.pupils, l.modules*perModule)
}

// targets are units of the first modules, perModule events for each; a module with fewer is repeated.
func (l *logs) targets(ctx context.Context, c *class) ([]target, error) {
	var page struct {
		Modules []catalogModule `json:"modules"`
	}
	if err := get(ctx, c.server, fmt.Sprintf("/v1/modules?pageSize=%d", l.modules), c.pupils[0].token, &page); err != nil {
		return nil, err
	}
	if len(page.Modules) < l.modules {
		return nil, fmt.Errorf("the starter catalog has %d modules on a page, too few", len(page.Modules))
	}
	var all []target
	for _, m := range page.Modules {
		for i := range perModule / 2 {
			all = append(all, target{m.ID, m.Version.Units[i%len(m.Version.Units)].ID})
		}
	}
	return all, nil
}
