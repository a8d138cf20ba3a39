package progress_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/period"
	"github.com/preceptor-dev/preceptor/internal/redis"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/grpcapi"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
	"github.com/preceptor-dev/preceptor/services/progress/replay"
	"github.com/preceptor-dev/preceptor/services/progress/report"
	"github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// day0 is when every test's catalog was published.
var day0 = time.Date(2026, 1, 10, 9, 0, 0, 0, time.UTC)

func day(n int) time.Time { return day0.AddDate(0, 0, n) }

// source is a catalog that a test writes.
type source struct {
	mu    sync.Mutex
	delta progress.CatalogDelta
	err   error
}

func (s *source) Sync(context.Context, int64) (progress.CatalogDelta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delta, s.err
}

func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// publish puts modules and paths into the catalog, whole, under the next revision.
func (s *source) publish(modules []progress.Module, paths []progress.Path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := progress.CatalogDelta{
		Revision: s.delta.Revision + 1,
		Modules:  append([]progress.Module(nil), s.delta.Modules...),
		Paths:    append([]progress.Path(nil), s.delta.Paths...),
	}
	for _, m := range modules {
		d.Modules = replace(d.Modules, m, func(o progress.Module) bool { return o.ID == m.ID })
	}
	for _, p := range paths {
		d.Paths = replace(d.Paths, p, func(o progress.Path) bool { return o.ID == p.ID })
	}
	s.delta = d
}

func replace[T any](in []T, v T, same func(T) bool) []T {
	out := append([]T(nil), in...)
	for i := range out {
		if same(out[i]) {
			out[i] = v
			return out
		}
	}
	return append(out, v)
}

// What rigs stand on. TestOnServers runs the tests of this package with each.
var (
	rigPostgres = flag.String("rig.postgres", "", "the url of a migrated Postgres database: each rig has a copy of it; SQLite when not given")
	rigRedis    = flag.String("rig.redis", "", "the url of the Redis that keeps the answers of each replica; memory when not given")
)

// rig is a service on a real database, with a catalog and a clock of the test's.
type rig struct {
	t       testing.TB
	ctx     context.Context //nolint:containedctx // a rig is one test, and so is its context
	url     string
	service *replica
	store   progresstest.Store
	catalog *source
	clock   *clock
	// cache makes the cache of a replica.
	cache func() cache.Cache
	// lanes are how many transactions a replica writes at a time, as in use.
	lanes int
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

func newRig(tb testing.TB, modules []progress.Module, paths []progress.Path) *rig {
	tb.Helper()
	if *rigPostgres != "" {
		url := testenv.PostgresCopy(tb, *rigPostgres)
		return newRigOver(tb, url, sqldbtest.Open(tb, url), modules, paths)
	}
	return newRigOn(tb, sqldbtest.SQLiteURL(tb), modules, paths)
}

// newRigOn is newRig on an empty database.
func newRigOn(tb testing.TB, url string, modules []progress.Module, paths []progress.Path) *rig {
	tb.Helper()
	return newRigOver(tb, url, sqldbtest.Migrated(tb, url, sqlstore.Migrations()), modules, paths)
}

// newRigOver is newRig on an open database.
func newRigOver(tb testing.TB, url string, db *sqldb.DB, modules []progress.Module, paths []progress.Path) *rig {
	tb.Helper()
	r := &rig{t: tb, ctx: context.Background(), url: url, catalog: new(source), clock: &clock{at: day(1)}, lanes: 1}
	r.catalog.publish(modules, paths)
	if db.Dialect() == sqldb.Postgres {
		r.lanes = 2
	}
	r.cache = func() cache.Cache { return cache.NewMemory(1<<20, r.clock.now) }
	if *rigRedis != "" {
		r.cache = func() cache.Cache { return cache.NewRedis(redisOf(tb, *rigRedis)) }
	}
	r.store = sqlstore.New(db)
	r.service = r.replica()
	return r
}

// redisOf opens a Redis with more patience than one in use has, for busy machines.
func redisOf(tb testing.TB, url string) *redis.Client {
	tb.Helper()
	r, err := redis.Open(tb.Context(), url, redis.Options{
		Timeout: time.Second, Pause: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

// replica is one more service on the rig's store.
type replica struct {
	*engine.Service
	previews *report.Service
	replays  *replay.Service
}

// server returns the replica's gRPC API.
func (s *replica) server() *grpcapi.Server {
	return grpcapi.NewServer(s.Service, s.previews, s.replays, nil)
}

// verify returns where what is stored of a learner is not what their log gives.
func (s *replica) verify(ctx context.Context, learner string) ([]replay.Drift, error) {
	var found []replay.Drift
	err := s.replays.Run(ctx, replay.Request{LearnerID: learner}, func(r replay.Report) error {
		if r.Drift != nil {
			found = append(found, *r.Drift)
		}
		return nil
	})
	return found, err
}

// replica starts one more service on the rig's store.
func (r *rig) replica() *replica {
	r.t.Helper()
	return r.replicaWith(engine.Options{})
}

// replicaWith starts one more service on the rig's store, with what the rig says of the options
// that are left open.
func (r *rig) replicaWith(o engine.Options) *replica {
	r.t.Helper()
	return r.replicaOver(r.store, o)
}

// replicaOver is replicaWith on another store.
func (r *rig) replicaOver(store progresstest.Store, o engine.Options) *replica {
	r.t.Helper()
	if o.Catalog == nil {
		o.Catalog = r.catalog
	}
	if o.Cache == nil {
		o.Cache = r.cache()
	}
	o.CommitLanes, o.Now, o.Logger = cmp.Or(o.CommitLanes, r.lanes), r.clock.now, slog.New(slog.DiscardHandler)
	svc, err := engine.New(r.ctx, store, o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(svc.Close)
	return &replica{Service: svc, previews: report.New(store, svc.Catalog(), svc.Zone, o.Now), replays: r.replaysOf(svc, store, false)}
}

// replaysOf returns the replays of a service; alone as if no other process had the store open.
func (r *rig) replaysOf(svc *engine.Service, store progresstest.Store, alone bool) *replay.Service {
	return replay.New(store, replay.Options{
		Catalog: svc.Catalog(), Zone: svc.Zone, Alone: alone, Now: r.clock.now, Logger: slog.New(slog.DiscardHandler),
	})
}

func newLearner() string { return uuid.Must(uuid.NewV7()).String() }

func self(learner string) progress.Actor { return progress.Actor{ID: learner, LearnerID: learner} }

func admin() progress.Actor {
	return progress.Actor{ID: "admin", LearnerID: "00000000-0000-7000-8000-00000000000a", Admin: true}
}

// record sends events and answers for them.
func (r *rig) record(learner string, actor progress.Actor, events ...progress.Event) *engine.Recorded {
	r.t.Helper()
	out, err := r.service.Record(r.ctx, learner, actor, events, engine.AtLeast{})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// accept is record where every event must be accepted.
func (r *rig) accept(learner string, actor progress.Actor, events ...progress.Event) *engine.Recorded {
	r.t.Helper()
	out := r.record(learner, actor, events...)
	for _, res := range out.Results {
		if res.Status != progress.StatusAccepted {
			r.t.Fatalf("event %s: %+v", res.EventID, res)
		}
	}
	return out
}

func (r *rig) enroll(learner, path string) progress.Enrollment {
	r.t.Helper()
	e, err := r.tryEnroll(learner, path, idem.Key{})
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func (r *rig) tryEnroll(learner, path string, key idem.Key) (progress.Enrollment, error) {
	return r.service.Enroll(r.ctx, engine.Enrolling{LearnerID: learner, PathID: path, Actor: self(learner), Key: key})
}

// read runs a question on a learner through the service's own door.
func read[T any](r *rig, learner, route string, ask func(*progress.View) (T, error)) (T, string) {
	r.t.Helper()
	var out T
	a, err := r.service.Read(r.ctx, learner, route, engine.AtLeast{}, func(w *progress.View) ([]byte, error) {
		v, err := ask(w)
		if err != nil {
			return nil, err
		}
		return json.Marshal(v)
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := json.Unmarshal(a.Body, &out); err != nil {
		r.t.Fatal(err)
	}
	return out, a.ETag
}

func (r *rig) path(learner, id string) *progress.PathProgress {
	r.t.Helper()
	p, _ := read(r, learner, "path/"+id, func(w *progress.View) (*progress.PathProgress, error) { return w.Path(id) })
	return p
}

func (r *rig) module(learner, id string) *progress.ModuleDetail {
	r.t.Helper()
	m, _ := read(r, learner, "module/"+id, func(w *progress.View) (*progress.ModuleDetail, error) { return w.Module(id) })
	return m
}

// refresh makes the service see what was published.
func (r *rig) refresh() {
	r.t.Helper()
	r.refreshed(r.service)
}

// refreshed makes a replica see what was published.
func (r *rig) refreshed(service *replica) {
	r.t.Helper()
	seen := engine.AtLeast{Catalog: r.catalog.delta.Revision}
	_, err := service.Read(r.ctx, newLearner(), "refresh", seen, func(*progress.View) ([]byte, error) { return []byte("{}"), nil })
	if err != nil {
		r.t.Fatal(err)
	}
}

// setZone says what profile's feed would.
func (r *rig) setZone(learner, zone string) {
	r.t.Helper()
	revision, err := r.store.ZoneRevision(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.store.SaveZones(r.ctx, revision+1, []progress.LearnerZone{{LearnerID: learner, TimeZone: zone}}); err != nil {
		r.t.Fatal(err)
	}
}

// event makes an event with a new id.
func event(module, unit string, verb progress.Verb, at time.Time) progress.Event {
	return progress.Event{ID: uuid.Must(uuid.NewV7()).String(), ModuleID: module, UnitID: unit, Verb: verb, OccurredAt: at}
}

func onVersion(e progress.Event, v int) progress.Event {
	e.ModuleVersion = v
	return e
}

// unit is a required unit of weight 1 that COMPLETED satisfies.
func unit(id string) progress.Unit {
	return progress.Unit{ID: id, Title: "Unit " + id, Required: true, Weight: 1, MoveOn: progress.MoveOnCompleted, Changed: true}
}

// module1 is an active module with one version.
func module1(id string, units ...progress.Unit) progress.Module {
	return progress.Module{ID: id, State: progress.ModuleActive, Versions: []progress.ModuleVersion{version(1, day0, units...)}}
}

func version(n int, at time.Time, units ...progress.Unit) progress.ModuleVersion {
	return progress.ModuleVersion{Number: n, Title: "Version", Units: units, PublishTime: at, EffectiveTime: at}
}

func all(ids ...string) progress.Group { return progress.Group{ModuleIDs: ids} }

func kOf(k int, ids ...string) progress.Group {
	return progress.Group{ModuleIDs: ids, RequiredCount: &k}
}

func milestone(id string, groups ...progress.Group) progress.Milestone {
	return progress.Milestone{ID: id, Title: "Milestone " + id, Groups: groups}
}

func path1(id string, milestones ...progress.Milestone) progress.Path {
	return progress.Path{
		ID:       id,
		State:    progress.ModuleActive,
		Versions: []progress.PathVersion{{Number: 1, Title: "Path " + id, Milestones: milestones}},
	}
}

func mustPeriod(s string) period.Period {
	p, err := period.Parse(s)
	if err != nil {
		panic(err)
	}
	return p
}

// reasonOf is the reason of an error, for comparing.
func reasonOf(err error) string { return errs.ReasonOf(err) }
