package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"

	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/pubsub"
	"github.com/preceptor-dev/preceptor/internal/redis"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/catalog"
	catalogclients "github.com/preceptor-dev/preceptor/services/catalog/clients"
	"github.com/preceptor-dev/preceptor/services/catalog/document"
	cataloggrpc "github.com/preceptor-dev/preceptor/services/catalog/grpcapi"
	catalogstore "github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
	"github.com/preceptor-dev/preceptor/services/catalog/starter"
	"github.com/preceptor-dev/preceptor/services/profile"
	profileclients "github.com/preceptor-dev/preceptor/services/profile/clients"
	profilegrpc "github.com/preceptor-dev/preceptor/services/profile/grpcapi"
	profilestore "github.com/preceptor-dev/preceptor/services/profile/sqlstore"
	"github.com/preceptor-dev/preceptor/services/progress/clients"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/grpcapi"
	"github.com/preceptor-dev/preceptor/services/progress/replay"
	"github.com/preceptor-dev/preceptor/services/progress/report"
	progressstore "github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// cacheBytes is how much of computed answers is kept in memory.
const cacheBytes = 32 << 20

// service is one of the three, open.
type service struct {
	name   string
	server *rpc.Server
	// resolver tells learners by their tokens; nil where there are none.
	resolver auth.Resolver
	// register offers the service on a server, whose streams end when draining closes.
	register func(to grpc.ServiceRegistrar, draining <-chan struct{})
	// audit serves the service's chain of admin commands; nil where it keeps none.
	audit *audit.Server
	// state tells whether the service can do its work, and what it does with less than it should.
	state func(context.Context) (ready bool, degraded []string)
}

// open gives the service its server.
func (h *house) open(ctx context.Context, s *service, maxRecv int) (*service, error) {
	server, err := h.newServer(ctx, s.resolver, maxRecv)
	if err != nil {
		return nil, err
	}
	s.server = server
	s.register(server, server.Draining())
	if s.audit != nil {
		auditv1.RegisterAuditServiceServer(server, s.audit)
	}
	inner := s.state
	s.state = func(ctx context.Context) (ready bool, degraded []string) {
		ready = true
		if inner != nil {
			ready, degraded = inner(ctx)
		}
		return ready, append(degraded, h.unverified()...)
	}
	return s, nil
}

// catalogMaxRecv has room for the largest import, as a message.
const catalogMaxRecv = catalog.MaxImport + rpc.DefaultMaxRecv

func (h *house) openCatalog(ctx context.Context, db *sqldb.DB, progress grpc.ClientConnInterface) (*service, error) {
	svc := catalog.New(catalogstore.New(db), document.Codec{}, catalog.Options{
		Now: h.now, Impact: catalogclients.NewImpact(progressv1.NewProgressServiceClient(progress), h.log),
	})
	if h.cfg.Starter {
		if _, err := starter.Load(ctx, svc); err != nil {
			return nil, fmt.Errorf("the starter catalog cannot be loaded: %w", err)
		}
	}
	return h.open(ctx, &service{
		name: CatalogName,
		register: func(to grpc.ServiceRegistrar, _ <-chan struct{}) {
			catalogv1.RegisterCatalogServiceServer(to, cataloggrpc.NewServer(svc))
		},
		audit: audit.NewServer(CatalogName, db),
	}, catalogMaxRecv)
}

func (h *house) openProfile(ctx context.Context, db *sqldb.DB, catalog grpc.ClientConnInterface) (*service, error) {
	svc := profile.New(profilestore.New(db), profileclients.NewCatalog(catalogv1.NewCatalogServiceClient(catalog)), profile.Options{
		Now: h.now,
		Created: func(ctx context.Context, learnerID string) {
			h.log.InfoContext(ctx, "learner made at first sign-in", "learner_id", learnerID)
		},
	})
	return h.open(ctx, &service{
		name:     ProfileName,
		resolver: profilegrpc.NewResolver(svc),
		register: func(to grpc.ServiceRegistrar, _ <-chan struct{}) {
			profilev1.RegisterProfileServiceServer(to, profilegrpc.NewServer(svc))
		},
	}, 0)
}

func (h *house) openProgress(ctx context.Context, db *sqldb.DB, catalog, profile grpc.ClientConnInterface) (*service, error) {
	store := progressstore.New(db)
	learners := clients.NewProfileClient(profilev1.NewProfileServiceClient(profile))
	keep, err := h.openCache(ctx)
	if err != nil {
		return nil, err
	}
	svc, err := engine.New(ctx, store, engine.Options{
		Catalog:     clients.NewCatalogClient(catalogv1.NewCatalogServiceClient(catalog)),
		Zones:       learners,
		Cache:       keep.cache,
		Nudges:      keep.nudges,
		CommitLanes: commitLanes(db, h.cfg.DatabaseMaxConns),
		Committed:   h.measureCommits(),
		Now:         h.now,
		Logger:      h.log,
	})
	if err != nil {
		return nil, err
	}
	previews := report.New(store, svc.Catalog(), svc.Zone, h.now)
	replays := replay.New(store, replay.Options{
		Catalog: svc.Catalog(), Zone: svc.Zone,
		Alone: db.Dialect() == sqldb.SQLite, // the folder's lock sees to it
		Now:   h.now, Logger: h.log,
	})
	h.measureProgress(svc.Stats)
	h.measureCache(keep.stats)
	h.onStop(func(context.Context) error {
		svc.Close()
		return nil
	})
	return h.open(ctx, &service{
		name:     ProgressName,
		resolver: engine.NewSubjects(store, learners, h.now),
		register: func(to grpc.ServiceRegistrar, draining <-chan struct{}) {
			progressv1.RegisterProgressServiceServer(to, grpcapi.NewServer(svc, previews, replays, draining))
		},
		audit: audit.NewServer(ProgressName, db),
		state: func(ctx context.Context) (bool, []string) {
			ready, degraded := progressState(svc.Ready, svc.Stats)
			return ready, append(degraded, keep.degraded(ctx)...)
		},
	}, 0)
}

// kept is where computed answers are kept, and how replicas hear of each other.
type kept struct {
	cache  cache.Cache
	nudges engine.Nudges
	redis  *redis.Client // nil where it is all in memory
	stats  func() cache.Stats
}

// openCache opens the Redis that the operator named, or a cache in memory.
func (h *house) openCache(ctx context.Context) (kept, error) {
	if h.cfg.RedisURL == "" {
		memory := cache.NewMemory(cacheBytes, h.now)
		return kept{cache: memory, stats: memory.Stats}, nil
	}
	client, err := redis.Open(ctx, h.cfg.RedisURL, redis.Options{Logger: h.log, Tracer: h.tracer, Now: h.now})
	if err != nil {
		return kept{}, fmt.Errorf("%w: mend --redis-url", err)
	}
	h.onStop(func(context.Context) error { return client.Close() })
	h.measureRedis(client)
	answers := cache.NewRedis(client)
	return kept{cache: answers, nudges: pubsub.New(client, h.log), redis: client, stats: answers.Stats}, nil
}

// degraded tells when there should be a Redis and is none.
func (k kept) degraded(ctx context.Context) []string {
	if k.redis == nil || k.redis.Reachable(ctx) {
		return nil
	}
	return []string{"redis is not reachable; answers come from the database"}
}

// staleAfter is how old the catalog snapshot of progress may be before it is worth a word:
// it is refreshed every two seconds.
const staleAfter = 15 * time.Second

func progressState(state func() (ready bool, age time.Duration, confirmed bool), stats func() engine.Stats) (ready bool, degraded []string) {
	ready, age, confirmed := state()
	switch {
	case !ready:
		degraded = append(degraded, "progress has never seen the catalog")
	case !confirmed:
		degraded = append(degraded, "progress has not reached the catalog since it started")
	case age > staleAfter:
		degraded = append(degraded, "progress last reached the catalog "+age.Round(time.Second).String()+" ago")
	}
	switch zones := stats().Zones; {
	case zones.Age <= staleAfter:
	case zones.Confirmed:
		degraded = append(degraded, "progress last reached profile "+zones.Age.Round(time.Second).String()+" ago")
	default:
		degraded = append(degraded, "progress has not reached profile since it started")
	}
	return ready, degraded
}

// await returns when the service can do its work.
func (s *service) await(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(stopTimeout)
	for {
		ready, why := s.state(ctx)
		if ready {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("the start takes too long: %s", strings.Join(why, "; "))
		}
	}
}
