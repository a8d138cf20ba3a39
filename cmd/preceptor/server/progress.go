package server

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/follow"
	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/metrics"
	"github.com/preceptor-dev/preceptor/internal/pubsub"
	"github.com/preceptor-dev/preceptor/internal/redis"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
	progressclients "github.com/preceptor-dev/preceptor/services/progress/clients"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	progressgrpc "github.com/preceptor-dev/preceptor/services/progress/grpcapi"
	"github.com/preceptor-dev/preceptor/services/progress/replay"
	"github.com/preceptor-dev/preceptor/services/progress/report"
	progressstore "github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

const (
	// staleAfter is how old what progress knows of another service may be before that is reported:
	// it is refreshed every two seconds.
	staleAfter = 15 * time.Second
)

func progressRow() Service {
	return Service{
		Name: Progress, Port: 7003, Migrations: progressstore.Migrations,
		Needs: []string{Catalog, Profile},
		Settings: []Setting{{
			Flag: "redis-url",
			Usage: "the Redis that holds computed answers and passes notifications between replicas: redis://HOST:6379/0," +
				" redis+sentinel://HOST:26379,HOST:26379/MASTER, redis+cluster://HOST:6379,HOST:6379; in memory when not given",
			To:    func(c *Config) any { return &c.RedisURL },
			Check: checkRedis,
		}},
		Audited: true,
		Open:    openProgress,
		Restored: func(ctx context.Context, db *sqldb.DB) error {
			return progressstore.New(db).Renew(ctx)
		},
	}
}

func checkRedis(c *Config) error {
	if c.RedisURL == "" {
		return nil
	}
	if err := redis.CheckURL(c.RedisURL); err != nil {
		return Usagef("--redis-url: %s", errs.OneLine(err))
	}
	return nil
}

func openProgress(ctx context.Context, o Opening) (Opened, error) {
	store := progressstore.New(o.DB)
	store.OnRenewal(func(why, was, is string) {
		o.Logger.Warn("the database is not where it was: devices read their logs again", "because", why, "was", was, "is", is)
	})
	if o.Idle {
		return openIdleProgress(ctx, o, store)
	}
	learners := progressclients.NewProfileClient(profilev1.NewProfileServiceClient(o.Conns[Profile]))
	cached, err := openCache(ctx, o)
	if err != nil {
		return Opened{}, err
	}
	svc, err := engine.New(ctx, store, engine.Options{
		Catalog:     progressclients.NewCatalogClient(catalogv1.NewCatalogServiceClient(o.Conns[Catalog])),
		Zones:       learners,
		Cache:       cached.cache,
		PubSub:      cached.notices,
		CommitLanes: commitLanes(o.DB, o.Config.DatabaseMaxConns),
		Memory:      o.Keeps.learners,
		Committed:   measureCommits(o.Metrics),
		Now:         o.Now,
		Logger:      o.Logger,
	})
	if err != nil {
		return Opened{}, err
	}
	o.OnStop(func(context.Context) error {
		svc.Close()
		return nil
	})
	subjects := engine.NewSubjects(store, learners, o.Now)
	o.OnQuiet(func(context.Context) {
		svc.Forget()
		subjects.Forget()
	})
	measureProgress(o.Metrics, svc.Stats)
	measureCache(o.Metrics, cached.stats)
	previews := report.New(store, svc.Catalog(), o.Now)
	replays := replay.New(store, replay.Options{
		Catalog: svc.Catalog(),
		Alone:   o.DB.Dialect() == sqldb.SQLite, // the folder's lock ensures it
		Now:     o.Now, Logger: o.Logger,
	})
	return Opened{
		Resolver: subjects,
		Managers: svc,
		Tickets:  svc,
		Register: func(to grpc.ServiceRegistrar, draining <-chan struct{}) {
			progressv1.RegisterProgressServiceServer(to, progressgrpc.NewServer(svc, previews, replays, draining))
		},
		State: func(ctx context.Context) health.State {
			state := progressState(svc.Ready, svc.Stats)
			state.Degraded = append(state.Degraded, cached.degraded(ctx)...)
			return state
		},
	}, nil
}

// openIdleProgress opens progress for a command, which only replays logs. Its catalog is the one that
// it stored last.
func openIdleProgress(ctx context.Context, o Opening, store *progressstore.Store) (Opened, error) {
	catalog, err := engine.NewCatalogFollower(ctx, storedCatalog{store}, store, o.Logger, o.Now)
	if err != nil {
		return Opened{}, err
	}
	replays := replay.New(store, replay.Options{Catalog: catalog, Alone: true, Now: o.Now, Logger: o.Logger})
	return Opened{Register: func(to grpc.ServiceRegistrar, draining <-chan struct{}) {
		progressv1.RegisterProgressServiceServer(to, progressgrpc.NewServer(nil, nil, replays, draining))
	}}, nil
}

// storedCatalog is the catalog as progress stored it last.
type storedCatalog struct{ store *progressstore.Store }

// Sync returns all of it.
func (c storedCatalog) Sync(ctx context.Context, _ int64) (progress.CatalogDelta, error) {
	return c.store.LoadCatalog(ctx)
}

// cached is where computed answers are cached, and how replicas learn of each other's writes.
type cached struct {
	cache   cache.Cache
	notices engine.PubSub
	redis   *redis.Client // nil where it is all in memory
	stats   func() cache.Stats
}

// openCache opens the Redis that the operator named, or a cache in memory.
func openCache(ctx context.Context, o Opening) (cached, error) {
	if o.Config.RedisURL == "" {
		memory := cache.NewMemory(o.Keeps.computed, o.Now)
		o.OnQuiet(func(context.Context) { memory.Clear() })
		return cached{cache: memory, stats: memory.Stats}, nil
	}
	client, err := redis.Open(ctx, o.Config.RedisURL, redis.Options{Logger: o.Logger, Tracer: o.Tracer, Now: o.Now})
	if err != nil {
		return cached{}, fmt.Errorf("%w: correct --redis-url", err)
	}
	o.OnStop(func(context.Context) error { return client.Close() })
	measureRedis(o.Metrics, client)
	answers := cache.NewRedis(client)
	return cached{cache: answers, notices: pubsub.New(client, o.Logger), redis: client, stats: answers.Stats}, nil
}

// degraded reports that there should be a Redis and is none.
func (c cached) degraded(ctx context.Context) []health.Missing {
	if c.redis == nil || c.redis.Reachable(ctx) {
		return nil
	}
	return []health.Missing{{Dependency: health.Redis, Text: "redis is not reachable; answers come from the database"}}
}

// commitLanes is how many transactions progress writes at once: one on SQLite, which has
// one writer, and on Postgres a second one for when much waits for a slow one. More of them would
// only make the groups smaller.
func commitLanes(db *sqldb.DB, conns int) int {
	if db.Dialect() == sqldb.SQLite || conns < 4 {
		return 1
	}
	return 2
}

func progressState(state func() (ready bool, age time.Duration, confirmed bool), stats func() engine.Stats) (s health.State) {
	ready, age, confirmed := state()
	s.Ready = ready
	lacks := func(service, text string) {
		s.Degraded = append(s.Degraded, health.Missing{Dependency: service, Text: text})
	}
	switch {
	case !ready:
		s.Reason = "the catalog was never seen"
		lacks(Catalog, "progress has never seen the catalog")
	case !confirmed:
		lacks(Catalog, "progress has not reached the catalog since it started")
	case age > staleAfter:
		lacks(Catalog, "progress last reached the catalog "+age.Round(time.Second).String()+" ago")
	}
	switch zones := stats().Zones; {
	case zones.Age <= staleAfter:
	case zones.Confirmed:
		lacks(Profile, "progress last reached profile "+zones.Age.Round(time.Second).String()+" ago")
	default:
		lacks(Profile, "progress has not reached profile since it started")
	}
	return s
}

// measureCommits shows progress's transactions; nil without metrics.
func measureCommits(m *metrics.Registry) func(engine.Commit) {
	observe := m.Commits()
	if observe == nil {
		return nil
	}
	return func(c engine.Commit) { observe(c.Jobs, c.Events, c.Waited, c.Took, c.Failed) }
}

// measureProgress shows what progress follows, queues and sweeps.
func measureProgress(m *metrics.Registry, stats func() engine.Stats) {
	for source, followed := range map[string]func() follow.State{
		Catalog: func() follow.State { return stats().Catalog },
		Profile: func() follow.State { return stats().Zones },
	} {
		labels := metrics.Labels{"source": source}
		m.Gauge("preceptor_snapshot_age_seconds", "How long ago another service confirmed what progress knows of it.", labels,
			func() float64 { return followed().Age.Seconds() })
		m.Gauge("preceptor_snapshot_revision", "The revision of another service that progress knows.", labels,
			func() float64 { return float64(followed().Revision) })
	}
	m.Gauge("preceptor_commit_queue_jobs", "Writes that wait for a transaction.", nil, func() float64 { return float64(stats().Queued) })
	m.Gauge("preceptor_watchers", "Watches of a learner's log that are open.", nil, func() float64 { return float64(stats().Watchers) })
	measureLearners(m, func() engine.MemoryStats { return stats().Memory })
	measureRetries(m, func() engine.RetryStats { return stats().Retries })
	sweep := func(value func(*engine.SweepStats) float64) func() (float64, bool) {
		return func() (float64, bool) {
			s := stats().Sweep
			if s == nil {
				return 0, false
			}
			return value(s), true
		}
	}
	m.GaugeWhile("preceptor_sweep_unswept_revisions", "Revisions of the catalog that the sweep has not looked at; only in the replica that sweeps.", nil,
		sweep(func(s *engine.SweepStats) float64 { return float64(s.Unswept) }))
	m.GaugeWhile("preceptor_sweep_age_seconds", "How long ago the sweep began that was finished last; only in the replica that sweeps.", nil,
		sweep(func(s *engine.SweepStats) float64 { return s.Age.Seconds() }))
}

// measureLearners shows what progress remembers of learners.
func measureLearners(m *metrics.Registry, stats func() engine.MemoryStats) {
	measureLookups(m, "preceptor_learner_lookups_total", "Lookups of a learner in what is remembered, by result.",
		func() (hits, misses uint64) { s := stats(); return s.Hits, s.Misses })
	m.Gauge("preceptor_learners_remembered", "Learners who are remembered.", nil, func() float64 { return float64(stats().Learners) })
	m.Gauge("preceptor_learners_remembered_bytes", "Memory that they take.", nil, func() float64 { return float64(stats().Bytes) })
}

// measureRetries shows how often what progress believed was not so.
func measureRetries(m *metrics.Registry, stats func() engine.RetryStats) {
	for because, count := range map[string]func() uint64{
		"learner": func() uint64 { return stats().Learners },
		"event":   func() uint64 { return stats().Events },
		"catalog": func() uint64 { return stats().Catalog },
	} {
		m.Counter("preceptor_commit_retries_total", "Transactions that were written again, because something was not as was believed.",
			metrics.Labels{"because": because}, func() float64 { return float64(count()) })
	}
}

// measureCache shows the cache of computed answers.
func measureCache(m *metrics.Registry, stats func() cache.Stats) {
	measureLookups(m, "preceptor_cache_requests_total", "Lookups in the cache, by result.",
		func() (hits, misses uint64) { s := stats(); return s.Hits, s.Misses })
	m.Counter("preceptor_cache_evictions_total", "Answers removed to make room.", nil, func() float64 { return float64(stats().Evictions) })
	m.Gauge("preceptor_cache_entries", "Answers in the cache.", nil, func() float64 { return float64(stats().Entries) })
	m.Gauge("preceptor_cache_bytes", "Memory that the answers in the cache take.", nil, func() float64 { return float64(stats().Bytes) })
}

// measureLookups counts lookups by whether they found something.
func measureLookups(m *metrics.Registry, name, help string, counts func() (hits, misses uint64)) {
	m.Counter(name, help, metrics.Labels{"result": "hit"}, func() float64 { hits, _ := counts(); return float64(hits) })
	m.Counter(name, help, metrics.Labels{"result": "miss"}, func() float64 { _, misses := counts(); return float64(misses) })
}

// measureRedis shows whether Redis is used at present, and how often it failed.
func measureRedis(m *metrics.Registry, client *redis.Client) {
	m.Breaker("redis", func() metrics.BreakerState {
		switch client.Stats().State {
		case "open":
			return metrics.BreakerOpen
		case "half-open":
			return metrics.BreakerHalfOpen
		default:
			return metrics.BreakerClosed
		}
	})
	m.Counter("preceptor_redis_failures_total", "Commands to Redis that timed out or failed.", nil,
		func() float64 { return float64(client.Stats().Failures) })
}
