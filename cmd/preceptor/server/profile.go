package server

import (
	"context"

	"google.golang.org/grpc"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/services/profile"
	profileclients "github.com/preceptor-dev/preceptor/services/profile/clients"
	"github.com/preceptor-dev/preceptor/services/profile/evaluator"
	profilegrpc "github.com/preceptor-dev/preceptor/services/profile/grpcapi"
	profilerule "github.com/preceptor-dev/preceptor/services/profile/rule"
	profilestore "github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

func profileRow() Service {
	return Service{
		Name: Profile, Port: 7001, Migrations: profilestore.Migrations,
		Needs:   []string{Catalog},
		Audited: true,
		Open:    openProfile,
	}
}

func openProfile(ctx context.Context, o Opening) (Opened, error) {
	rules, err := profilerule.NewCompiler()
	if err != nil {
		return Opened{}, err
	}
	store := profilestore.New(o.DB)
	changed := make(chan struct{}, 1)
	svc := profile.New(store, profileclients.NewCatalog(catalogv1.NewCatalogServiceClient(o.Conns[Catalog])), profile.Options{
		Now:   o.Now,
		Rules: rules,
		Created: func(ctx context.Context, learnerID string) {
			o.Logger.InfoContext(ctx, "learner made at first sign-in", "learner_id", learnerID)
		},
		RuleChanged: func() {
			select {
			case changed <- struct{}{}:
			default: // it looks anyway
			}
		},
	})
	if !o.Idle {
		running := evaluator.Start(ctx, evaluator.Options{Cohorts: svc, Lease: store, Now: o.Now, Logger: o.Logger, Changed: changed})
		o.OnStop(func(context.Context) error {
			running.Close()
			return nil
		})
	}
	return Opened{
		Resolver: profilegrpc.NewResolver(svc),
		Managers: profilegrpc.NewManagers(svc),
		Register: func(to grpc.ServiceRegistrar, _ <-chan struct{}) {
			api := profilegrpc.NewServer(svc)
			profilev1.RegisterProfileServiceServer(to, api)
			profilev1.RegisterCohortServiceServer(to, api)
		},
	}, nil
}
