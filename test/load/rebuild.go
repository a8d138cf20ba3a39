package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// perModule is how many events a learner has of each module, perInsert how many rows a statement writes.
const (
	perModule = 10
	perInsert = 100
)

// logs are the learners' logs to make.
type logs struct {
	events, modules int
	// dir is where the data folder is made, and left; a temporary one otherwise.
	dir string
}

// benchRebuild makes the logs, and times `preceptor progress rebuild` with no facts stored, then
// `preceptor progress verify`, each as a process of its own.
func benchRebuild(ctx context.Context, args []string) error {
	var l logs
	flags := flag.NewFlagSet("rebuild", flag.ContinueOnError)
	flags.IntVar(&l.events, "events", 10_000_000, "events in all")
	flags.IntVar(&l.modules, "modules", 50, "modules that each learner has events of, ten each")
	flags.StringVar(&l.dir, "dir", "", "make the data in this folder, and keep it; what it has is used as it is")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "preceptor-rebuild")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "preceptor")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/preceptor").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	data := cmp.Or(l.dir, filepath.Join(dir, "data"))
	if _, err := os.Stat(filepath.Join(data, "made")); err != nil {
		if err := l.make(ctx, bin, data); err != nil {
			return err
		}
	}
	fmt.Printf("%d events of %d learners, %d modules each.\n\n", l.learners()*l.modules*perModule, l.learners(), l.modules)
	fmt.Println("| command | events/s | time | processor time | most memory |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: |")
	if err := wipe(ctx, data); err != nil {
		return err
	}
	for _, command := range []string{"rebuild", "verify"} { // a rebuild repairs what the verification then looks at
		if err := l.time(ctx, bin, data, command); err != nil {
			return err
		}
	}
	return nil
}

func (l *logs) learners() int { return l.events / l.modules / perModule }

// time runs the command on the folder, and prints its row.
func (l *logs) time(ctx context.Context, bin, data, command string) error {
	say(command + " …")
	cmd := exec.CommandContext(ctx, bin, "progress", command, "--data", data, "--server", "http://127.0.0.1:1")
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("progress %s: %w", command, err)
	}
	took := time.Since(began)
	var memory float64
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		memory = float64(usage.Maxrss) / 1024
	}
	events := float64(l.learners() * l.modules * perModule)
	processor := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	fmt.Printf("| progress %s | %.0f | %.0f s | %.0f s | %.0f MB |\n", command, events/took.Seconds(), took.Seconds(), processor, memory)
	return nil
}

func openData(data string) (*sql.DB, error) {
	return sql.Open("sqlite", "file:"+filepath.Join(data, "progress.db")+"?_pragma=synchronous(OFF)&_pragma=journal_mode(WAL)&_pragma=cache_size(-65536)")
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

// make starts the server once, for the schema and the starter catalog, and then writes the logs
// into its database in bulk: through its API that would take an hour.
func (l *logs) make(ctx context.Context, bin, data string) error {
	say(fmt.Sprintf("making %d events …", l.events))
	targets, err := l.targets(ctx, bin, data)
	if err != nil {
		return err
	}
	db, err := openData(data)
	if err != nil {
		return err
	}
	defer db.Close()
	base := time.Now().UTC().UnixMicro()
	for first := 0; first < l.learners(); first += perInsert {
		if err := l.insert(ctx, db, targets, first, base); err != nil {
			return err
		}
		if first%(10*perInsert) == 0 {
			say(fmt.Sprintf("%d of %d learners", first, l.learners()))
		}
	}
	return os.WriteFile(filepath.Join(data, "made"), nil, 0o600)
}

// targets are the units of the first modules, perModule for each; a module with fewer is repeated.
func (l *logs) targets(ctx context.Context, bin, data string) ([]target, error) {
	ports := &scope{dir: data}
	defer ports.end()
	addresses, err := ports.addresses(1)
	if err != nil {
		return nil, err
	}
	s, err := startOurs(ctx, addresses[0], bin, data)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	out, err := exec.CommandContext(ctx, bin, "token", "--data", data, "--subject", "load", "--role", "learner").Output()
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	token := strings.TrimSpace(string(out))
	body, err := call(ctx, s, http.MethodGet, fmt.Sprintf("/v1/modules?pageSize=%d", l.modules), token, "")
	if err != nil {
		return nil, err
	}
	var page struct {
		Modules []struct {
			ID string `json:"id"`
		} `json:"modules"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, err
	}
	if len(page.Modules) < l.modules {
		return nil, fmt.Errorf("the starter catalog has %d modules on a page, too few", len(page.Modules))
	}
	var all []target
	for _, listed := range page.Modules {
		var module catalogModule
		if err := get(ctx, s, "/v1/modules/"+listed.ID, token, &module); err != nil {
			return nil, err
		}
		for i := range perModule {
			all = append(all, target{listed.ID, module.Version.Units[i/2%len(module.Version.Units)].ID})
		}
	}
	return all, nil
}

// insert writes the logs of perInsert learners in one transaction. Every unit is begun and then
// completed, an event every two minutes.
func (l *logs) insert(ctx context.Context, db *sql.DB, targets []target, first int, base int64) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	row := "(?, ?, ?, ?, ?, ?)"
	//nolint:gosec // a constant, repeated
	insert, err := tx.PrepareContext(ctx, `INSERT INTO learner_log (learner_id, sequence, received_at, event_id, module_id, entry) VALUES `+
		strings.Repeat(row+", ", perInsert-1)+row)
	if err != nil {
		return err
	}
	defer insert.Close()
	for n := first; n < min(first+perInsert, l.learners()); n++ {
		learner := uuid.Must(uuid.NewV7())
		args := make([]any, 0, perInsert*6)
		for i, t := range targets {
			event, at := uuid.New(), time.UnixMicro(base+int64(i)*2*time.Minute.Microseconds())
			r := progress.Record{
				Type: progress.RecordEvent, LearnerID: learner.String(), ActorID: learner.String(), ReceivedAt: at.Add(time.Millisecond), EffectiveAt: at,
				Event: progress.Event{ModuleVersion: 1, UnitID: t.unit, Verb: progress.Progressed, Progress: new(0.5), OccurredAt: at, DeviceID: "phone-1"},
			}
			if i%2 == 1 {
				r.Event.Verb, r.Event.Progress = progress.Completed, nil
			}
			_, _ = rand.Read(r.PayloadHash[:]) // never fails
			args = append(args, learner[:], i+1, r.ReceivedAt.UnixMicro(), event[:], t.module, progress.AppendEntry(nil, &r))
			if len(args) == cap(args) {
				if _, err := insert.ExecContext(ctx, args...); err != nil {
					return err
				}
				args = args[:0]
			}
		}
		if len(args) > 0 {
			return fmt.Errorf("the events of a learner, %d, are no multiple of %d", len(targets), perInsert)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO learner_head (learner_id, sequence, version, known, rules) VALUES (?, ?, 1, TRUE, ?)`,
			learner[:], len(targets), progress.RulesVersion); err != nil {
			return err
		}
	}
	return tx.Commit()
}
