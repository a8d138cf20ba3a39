package report_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/tagged"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/report"
	"github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// The crowd of BenchmarkModuleImpact.
const (
	crowdLearners = 100_000
	crowdModules  = 50
	crowdKinds    = 10
)

// crowdUnits are the units of a module of the crowd's.
func crowdUnits() []progress.Unit {
	var units []progress.Unit
	for i := range 5 {
		u := unit(fmt.Sprintf("unit-%d", i))
		u.Changed = false
		units = append(units, u)
	}
	return units
}

// crowdModule has two versions, of which the second changed nothing for anyone.
func crowdModule(id string) progress.Module {
	return progress.Module{ID: id, State: progress.ModuleActive, Versions: []progress.ModuleVersion{
		version(1, day0, crowdUnits()...), version(2, day(1), crowdUnits()...),
	}}
}

// crowdKind lives the life of one kind of learner: of ten, four completed the first version, two the
// second, three are in the midst of it, and one was excused.
func crowdKind(r *rig, kind int, modules []progress.Module) string {
	learner := newLearner()
	r.Enroll(learner, "p")
	for _, m := range modules {
		if kind == 9 {
			waiver := event(m.ID, "", progress.Waived, day(2))
			waiver.Reason = "holds the certificate"
			r.Accept(learner, admin(), waiver)
			continue
		}
		on, done := 1, 5
		switch {
		case kind >= 6:
			on, done = 2, kind-4
		case kind >= 4:
			on = 2
		}
		var events []progress.Event
		for i := range done {
			events = append(events, onVersion(event(m.ID, fmt.Sprintf("unit-%d", i), progress.Completed, day(2).Add(time.Duration(i)*time.Hour)), on))
		}
		r.Accept(learner, self(learner), events...)
	}
	return learner
}

// crowd makes a database with learners who are alike to those that lived, and returns a service on it.
func crowd(b *testing.B, url string) *rig {
	b.Helper()
	var modules []progress.Module
	var ids []string
	for i := range crowdModules {
		ids = append(ids, fmt.Sprintf("module-%02d", i))
		modules = append(modules, crowdModule(ids[i]))
	}
	kinds := filepath.Join(b.TempDir(), "kinds.db")
	r := newRigOn(b, "sqlite:"+kinds, modules, []progress.Path{path1("p", milestone("m", all(ids[:10]...)))})
	r.Clock.Set(day(4))
	r.Refresh()
	var lived []string
	for n := range crowdKinds {
		lived = append(lived, crowdKind(r, n, modules))
	}
	db, err := sqldb.Open(r.Ctx, url, sqldb.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(db.Migrate(r.Ctx, sqlstore.Migrations()), db.Close()); err != nil {
		b.Fatal(err)
	}
	multiply(b, url, kinds, lived)
	r.Service = reopened(r, b, url)
	return r
}

// multiply copies those who lived until there are enough of them. Nothing is at stake: so it goes
// without a journal, as one pass over each table.
func multiply(b *testing.B, url, kinds string, lived []string) {
	b.Helper()
	ctx := context.Background()
	pool, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	run := func(query string, args ...any) {
		b.Helper()
		if _, err := pool.ExecContext(ctx, query, args...); err != nil {
			b.Fatal(err)
		}
	}
	run(`PRAGMA journal_mode = OFF`)
	run(`PRAGMA synchronous = OFF`)
	run(`PRAGMA cache_size = -262144`)
	run(`ATTACH ? AS kinds`, kinds)
	run(`CREATE TEMP TABLE them (id BLOB PRIMARY KEY, like_id BLOB NOT NULL) WITHOUT ROWID`)
	for n, id := range lived {
		like, _ := tagged.ParseUUID(id)
		run(`WITH RECURSIVE ids (n) AS (VALUES (?) UNION ALL SELECT n + ? FROM ids WHERE n + ? < ?)
			INSERT INTO them SELECT unhex(printf('01990000000070008000%012x', n)), ? FROM ids`, n, len(lived), len(lived), crowdLearners, like[:])
	}
	run(`INSERT INTO learner_head (learner_id, sequence, version, known, rules) SELECT id, sequence, version, known, rules FROM them CROSS JOIN kinds.learner_head ON learner_id = like_id`)
	run(`INSERT INTO enrollment (learner_id, enrollment_id, path_id, path_version, state, enroll_at, update_at)
		SELECT id, id AS enrollment_id, path_id, path_version, state, enroll_at, update_at FROM them CROSS JOIN kinds.enrollment ON learner_id = like_id`)
	run(`INSERT INTO module_facts (learner_id, module_id, state, fold_key, materials, cycle_state, complete_version, shape)
		SELECT id, module_id, state, fold_key, materials, cycle_state, complete_version, shape
		FROM them CROSS JOIN kinds.module_facts ON learner_id = like_id`)
	run(`PRAGMA journal_mode = WAL`)
}

// crowdDraft is the third version, with units that changed.
func crowdDraft(material bool, changed ...string) progress.ModuleVersion {
	v := version(3, day(4), crowdUnits()...)
	v.Material = material
	for _, id := range changed {
		v.Unit(id).Title += ", rewritten"
	}
	return v
}

// BenchmarkModuleImpact counts whom a draft would touch among 100,000 learners with facts of 50 modules each.
func BenchmarkModuleImpact(b *testing.B) {
	url := "sqlite:" + filepath.Join(b.TempDir(), "progress.db")
	r := crowd(b, url)
	extra := crowdDraft(true)
	extra.Units = append(extra.Units, progress.Unit{ID: "extra", Weight: 1, MoveOn: progress.MoveOnCompleted})
	for _, draft := range []struct {
		name    string
		Version progress.ModuleVersion
		want    report.ModuleImpact
	}{
		{"minor", crowdDraft(false, "unit-1"), report.ModuleImpact{Completed: 70_000, InProgress: 30_000}},
		{"material", crowdDraft(true, "unit-1"), report.ModuleImpact{Completed: 70_000, InProgress: 30_000, ToRetrain: 60_000, LosingCredit: 30_000}},
		{"material-asks-no-more", extra, report.ModuleImpact{Completed: 70_000, InProgress: 30_000}},
	} {
		count := func(b *testing.B, s *replica) {
			b.Helper()
			got, err := s.Previews.CountModuleImpact(r.Ctx, "module-05", draft.Version, 0)
			if err != nil {
				b.Fatal(err)
			}
			if got.Completed != draft.want.Completed || got.InProgress != draft.want.InProgress || got.ToRetrain != draft.want.ToRetrain ||
				got.LosingCredit != draft.want.LosingCredit || len(got.Paths) != 1 || got.Paths[0].Enrollments != crowdLearners {
				b.Fatalf("%+v", got)
			}
		}
		b.Run(draft.name+"/cold", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				again := reopened(r, b, url)
				b.StartTimer()
				count(b, again)
			}
		})
		b.Run(draft.name+"/warm", func(b *testing.B) {
			for b.Loop() {
				count(b, r.Service)
			}
		})
	}
}

// BenchmarkModuleArchive counts whom archiving a module would touch, among the same learners, who are all on
// a path. All have begun the one module; nobody has begun the other.
func BenchmarkModuleArchive(b *testing.B) {
	url := "sqlite:" + filepath.Join(b.TempDir(), "progress.db")
	r := crowd(b, url)
	untouched := crowdModule("untouched")
	path := path1("p", milestone("m", all("module-05", "untouched")))
	r.Catalog.Publish([]progress.Module{untouched}, []progress.Path{path})
	r.Refreshed(r.Service)
	for id, want := range map[string]report.ModuleArchive{
		"module-05": {Completed: 70_000, InProgress: 30_000},
		"untouched": {Excused: crowdLearners},
	} {
		b.Run(id, func(b *testing.B) {
			for b.Loop() {
				got, err := r.Service.Previews.CountModuleArchive(r.Ctx, id, 2, 0)
				if err != nil {
					b.Fatal(err)
				}
				if got.Completed != want.Completed || got.InProgress != want.InProgress || got.Excused != want.Excused {
					b.Fatalf("%+v", got)
				}
			}
		})
	}
}

// reopened is a service on new connections to the database, whose caches are empty.
func reopened(r *rig, tb testing.TB, url string) *replica {
	tb.Helper()
	db, err := sqldb.Open(r.Ctx, url, sqldb.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	on := *r
	on.T = tb
	s := on.ReplicaOver(sqlstore.New(db), engine.Options{Cache: cache.NewMemory(1<<20, r.Clock.Now), CommitLanes: 1})
	r.Refreshed(s)
	return s
}
