// Package rigtest is progress as a whole, on a real database, for the tests of the packages that it
// is made of: a rig with a catalog and a clock of the test's, and what those tests are written with.
package rigtest

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
	"github.com/preceptor-dev/preceptor/services/progress/grpcapi/apitest"
	"github.com/preceptor-dev/preceptor/services/progress/progresstest"
	"github.com/preceptor-dev/preceptor/services/progress/replay"
	"github.com/preceptor-dev/preceptor/services/progress/report"
	"github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// Day0 is when every test's catalog was published.
var Day0 = time.Date(2026, 1, 10, 9, 0, 0, 0, time.UTC)

// Day is n days after Day0.
func Day(n int) time.Time { return Day0.AddDate(0, 0, n) }

// Source is a catalog that a test writes.
type Source struct {
	mu    sync.Mutex
	Delta progress.CatalogDelta
	err   error
}

// Sync returns the whole catalog, or the error that Fail has set.
func (s *Source) Sync(context.Context, int64) (progress.CatalogDelta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Delta, s.err
}

// Fail has Sync return an error; nil: none any more.
func (s *Source) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Publish puts modules and paths into the catalog, whole, under the next revision.
func (s *Source) Publish(modules []progress.Module, paths []progress.Path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := progress.CatalogDelta{
		Revision: s.Delta.Revision + 1,
		Modules:  append([]progress.Module(nil), s.Delta.Modules...),
		Paths:    append([]progress.Path(nil), s.Delta.Paths...),
	}
	for _, m := range modules {
		d.Modules = replace(d.Modules, m, func(o progress.Module) bool { return o.ID == m.ID })
	}
	for _, p := range paths {
		d.Paths = replace(d.Paths, p, func(o progress.Path) bool { return o.ID == p.ID })
	}
	s.Delta = d
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

// Profile is profile as a test has it: its feed has no news, and may be out of reach.
type Profile struct {
	mu  sync.Mutex
	err error
}

// Sync returns that nothing changed, or the error that Fail has set.
func (p *Profile) Sync(_ context.Context, after int64) ([]progress.ProfileChange, int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return nil, after, p.err
}

// Fail has Sync return an error; nil: none any more.
func (p *Profile) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// What rigs stand on. TestOnServers runs the tests of this package with each.
var (
	rigPostgres = flag.String("rig.postgres", "", "the url of a migrated Postgres database: each rig has a copy of it; SQLite when not given")
	rigRedis    = flag.String("rig.redis", "", "the url of the Redis that caches the answers of each replica; memory when not given")
)

// Rig is a service on a real database, with a catalog and a clock of the test's.
type Rig struct {
	T       testing.TB
	Ctx     context.Context //nolint:containedctx // a rig is one test, and so is its context
	URL     string
	Service *Replica
	Store   progresstest.Store
	Catalog *Source
	Profile *Profile
	Clock   *clock
	// Cache makes the cache of a replica.
	Cache func() cache.Cache
	// lanes are how many transactions a replica writes at a time, as in use.
	lanes int
	// known are the learners that profile has told of.
	known *sync.Map
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

// Now returns the time that was set.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Set sets the time.
func (c *clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

// NewRig returns a rig on the database that the flags name.
func NewRig(tb testing.TB, modules []progress.Module, paths []progress.Path) *Rig {
	tb.Helper()
	if *rigPostgres != "" {
		url := testenv.PostgresCopy(tb, *rigPostgres)
		return newRigOver(tb, url, sqldbtest.Open(tb, url), modules, paths)
	}
	return NewRigOn(tb, sqldbtest.SQLiteURL(tb), modules, paths)
}

// NewRigOn is newRig on an empty database.
func NewRigOn(tb testing.TB, url string, modules []progress.Module, paths []progress.Path) *Rig {
	tb.Helper()
	return newRigOver(tb, url, sqldbtest.Migrated(tb, url, sqlstore.Migrations()), modules, paths)
}

// newRigOver is newRig on an open database.
func newRigOver(tb testing.TB, url string, db *sqldb.DB, modules []progress.Module, paths []progress.Path) *Rig {
	tb.Helper()
	r := &Rig{
		T: tb, Ctx: context.Background(), URL: url, Catalog: new(Source), Profile: new(Profile), Clock: &clock{at: Day(1)}, lanes: 1,
		known: new(sync.Map),
	}
	r.Catalog.Publish(modules, paths)
	if db.Dialect() == sqldb.Postgres {
		r.lanes = 2
	}
	r.Cache = func() cache.Cache { return cache.NewMemory(1<<20, r.Clock.Now) }
	if *rigRedis != "" {
		r.Cache = func() cache.Cache { return cache.NewRedis(RedisOf(tb, *rigRedis)) }
	}
	r.Store = sqlstore.New(db)
	r.Service = r.Replica()
	return r
}

// RedisOf opens a Redis with more patience than one in use has, for busy machines.
func RedisOf(tb testing.TB, url string) *redis.Client {
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

// Replica is one more service on the rig's store.
type Replica struct {
	*engine.Service
	Previews *report.Service
	Replays  *replay.Service
}

// Server returns the replica's gRPC API, whose responses are as their receivers have them.
func (s *Replica) Server() apitest.Server {
	return apitest.Server{ProgressServiceServer: grpcapi.NewServer(s.Service, s.Previews, s.Replays, nil)}
}

// Verify returns where what is stored of a learner is not what their log gives.
func (s *Replica) Verify(ctx context.Context, learner string) ([]replay.Drift, error) {
	var found []replay.Drift
	err := s.Replays.Run(ctx, replay.Request{LearnerID: learner}, func(r replay.Report) error {
		if r.Drift != nil {
			found = append(found, *r.Drift)
		}
		return nil
	})
	return found, err
}

// Replica starts one more service on the rig's store.
func (r *Rig) Replica() *Replica {
	r.T.Helper()
	return r.ReplicaWith(engine.Options{})
}

// ReplicaWith starts one more service on the rig's store, with what the rig says of the options
// that are left open.
func (r *Rig) ReplicaWith(o engine.Options) *Replica {
	r.T.Helper()
	return r.ReplicaOver(r.Store, o)
}

// ReplicaOver is replicaWith on another store.
func (r *Rig) ReplicaOver(store progresstest.Store, o engine.Options) *Replica {
	r.T.Helper()
	if o.Catalog == nil {
		o.Catalog = r.Catalog
	}
	if o.Zones == nil {
		o.Zones = r.Profile
	}
	if o.Cache == nil {
		o.Cache = r.Cache()
	}
	o.CommitLanes, o.Now, o.Logger = cmp.Or(o.CommitLanes, r.lanes), r.Clock.Now, slog.New(slog.DiscardHandler)
	svc, err := engine.New(r.Ctx, store, o)
	if err != nil {
		r.T.Fatal(err)
	}
	r.T.Cleanup(svc.Close)
	return &Replica{Service: svc, Previews: report.New(store, svc.Catalog(), o.Now), Replays: r.ReplaysOf(svc, store, false)}
}

// ReplaysOf returns the replays of a service; alone as if no other process had the store open.
func (r *Rig) ReplaysOf(svc *engine.Service, store progresstest.Store, alone bool) *replay.Service {
	return replay.New(store, replay.Options{
		Catalog: svc.Catalog(), Alone: alone, Now: r.Clock.Now, Logger: slog.New(slog.DiscardHandler),
	})
}

// NewLearner returns the id of a new learner.
func NewLearner() string { return uuid.Must(uuid.NewV7()).String() }

// Self is the learner as the sender of their own events.
func Self(learner string) progress.Actor { return progress.Actor{ID: learner, LearnerID: learner} }

// Admin is an admin who is no learner of the test.
func Admin() progress.Actor {
	return progress.Actor{ID: "admin", LearnerID: "00000000-0000-7000-8000-00000000000a", Admin: true}
}

// Record sends events, and returns what came of them.
func (r *Rig) Record(learner string, actor progress.Actor, events ...progress.Event) *engine.Recorded {
	r.T.Helper()
	return r.RecordSent(learner, actor, time.Time{}, events...)
}

// RecordSent is Record by a device whose clock showed sent.
func (r *Rig) RecordSent(learner string, actor progress.Actor, sent time.Time, events ...progress.Event) *engine.Recorded {
	r.T.Helper()
	r.Know(learner)
	out, err := r.Service.Record(r.Ctx, engine.Recording{LearnerID: learner, Actor: actor, Events: events, SentAt: sent})
	if err != nil {
		r.T.Fatal(err)
	}
	return out
}

// Learner returns the id of a new learner who is known.
func (r *Rig) Learner() string {
	r.T.Helper()
	learner := NewLearner()
	r.Know(learner)
	return learner
}

// Know makes a learner known, as their first sign-in would.
func (r *Rig) Know(learner string) {
	r.T.Helper()
	if _, known := r.known.Load(learner); !known {
		if err := r.Store.SaveLink(r.Ctx, "test", learner, progress.Link{LearnerID: learner}); err != nil {
			r.T.Fatal(err)
		}
		r.known.Store(learner, true)
	}
}

// Accept is record where every event must be accepted.
func (r *Rig) Accept(learner string, actor progress.Actor, events ...progress.Event) *engine.Recorded {
	r.T.Helper()
	out := r.Record(learner, actor, events...)
	for _, res := range out.Results {
		if res.Status != progress.StatusAccepted {
			r.T.Fatalf("event %s: %+v", res.EventID, res)
		}
	}
	return out
}

// Enroll enrolls a learner, or fails the test.
func (r *Rig) Enroll(learner, path string) progress.Enrollment {
	r.T.Helper()
	e, err := r.TryEnroll(learner, path, idem.Key{})
	if err != nil {
		r.T.Fatal(err)
	}
	return e
}

// TryEnroll enrolls a learner, with a key or the zero Key.
func (r *Rig) TryEnroll(learner, path string, key idem.Key) (progress.Enrollment, error) {
	r.Know(learner)
	e, err := r.Service.Enroll(r.Ctx, engine.Enrolling{LearnerID: learner, PathID: path, Actor: Self(learner), Key: key})
	return e.Enrollment, err
}

// Read computes an answer about a learner through the service's own Read.
func Read[T any](r *Rig, learner, route string, ask func(*progress.View) (T, error)) (T, string) {
	r.T.Helper()
	var out T
	r.Know(learner)
	a, err := r.Service.Read(r.Ctx, learner, route, engine.AtLeast{}, func(w *progress.View) ([]byte, error) {
		v, err := ask(w)
		if err != nil {
			return nil, err
		}
		return json.Marshal(v)
	})
	if err != nil {
		r.T.Fatal(err)
	}
	if err := json.Unmarshal(a.Body, &out); err != nil {
		r.T.Fatal(err)
	}
	return out, a.ETag
}

// Path returns how far a learner is on a path.
func (r *Rig) Path(learner, id string) *progress.PathProgress {
	r.T.Helper()
	p, _ := Read(r, learner, "path/"+id, func(w *progress.View) (*progress.PathProgress, error) { return w.Path(id) })
	return p
}

// Module returns how far a learner is in a module.
func (r *Rig) Module(learner, id string) *progress.ModuleDetail {
	r.T.Helper()
	m, _ := Read(r, learner, "module/"+id, func(w *progress.View) (*progress.ModuleDetail, error) { return w.Module(id) })
	return m
}

// Refresh makes the service see what was published.
func (r *Rig) Refresh() {
	r.T.Helper()
	r.Refreshed(r.Service)
}

// Refreshed makes a replica see what was published.
func (r *Rig) Refreshed(service *Replica) {
	r.T.Helper()
	if c := service.Catalog().AtLeast(r.Ctx, r.Catalog.Delta.Revision); c.Revision < r.Catalog.Delta.Revision {
		r.T.Fatalf("the catalog is at %d, not at %d", c.Revision, r.Catalog.Delta.Revision)
	}
}

// SetZone sets a learner's time zone, as profile's feed would.
func (r *Rig) SetZone(learner, zone string) {
	r.T.Helper()
	r.known.Store(learner, true)
	revision, err := r.Store.ZoneRevision(r.Ctx)
	if err != nil {
		r.T.Fatal(err)
	}
	z := progress.LearnerZone{LearnerID: learner, TimeZone: zone, Since: r.Clock.Now()}
	if err := r.Store.SaveProfile(r.Ctx, revision+1, r.Clock.Now(), progresstest.Zoned(revision+1, []progress.LearnerZone{z})); err != nil {
		r.T.Fatal(err)
	}
}

// Event makes an event with a new id.
func Event(module, unit string, verb progress.Verb, at time.Time) progress.Event {
	return progress.Event{ID: uuid.Must(uuid.NewV7()).String(), ModuleID: module, UnitID: unit, Verb: verb, OccurredAt: at}
}

// OnVersion is the event about a version of its module.
func OnVersion(e progress.Event, v int) progress.Event {
	e.ModuleVersion = v
	return e
}

// Unit is a required unit of weight 1 that COMPLETED satisfies.
func Unit(id string) progress.Unit {
	return progress.Unit{ID: id, Title: "Unit " + id, Required: true, Weight: 1, MoveOn: progress.MoveOnCompleted, Changed: true}
}

// Module is an active module with one version.
func Module(id string, units ...progress.Unit) progress.Module {
	return progress.Module{ID: id, State: progress.ModuleActive, Versions: []progress.ModuleVersion{Version(1, Day0, units...)}}
}

// Version is a module version in effect from its publication on.
func Version(n int, at time.Time, units ...progress.Unit) progress.ModuleVersion {
	return progress.ModuleVersion{Number: n, Title: "Version", Units: units, PublishTime: at, EffectiveTime: at}
}

// All is a group that asks for all of its modules.
func All(ids ...string) progress.Group { return progress.Group{ModuleIDs: ids} }

// KOf is a group that asks for k of its modules.
func KOf(k int, ids ...string) progress.Group {
	return progress.Group{ModuleIDs: ids, RequiredCount: &k}
}

// Milestone is a milestone of groups.
func Milestone(id string, groups ...progress.Group) progress.Milestone {
	return progress.Milestone{ID: id, Title: "Milestone " + id, Groups: groups}
}

// Path is a path of one version.
func Path(id string, milestones ...progress.Milestone) progress.Path {
	return progress.Path{
		ID:       id,
		State:    progress.ModuleActive,
		Versions: []progress.PathVersion{{Number: 1, Title: "Path " + id, Milestones: milestones}},
	}
}

// MustPeriod parses a period.
func MustPeriod(s string) period.Period {
	p, err := period.Parse(s)
	if err != nil {
		panic(err)
	}
	return p
}

// ReasonOf is the reason of an error, for comparing.
func ReasonOf(err error) string { return errs.ReasonOf(err) }
