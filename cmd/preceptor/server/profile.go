package server

import (
	"context"

	"google.golang.org/grpc"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/services/profile"
	profileclients "github.com/preceptor-dev/preceptor/services/profile/clients"
	profilegrpc "github.com/preceptor-dev/preceptor/services/profile/grpcapi"
	profilestore "github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

func profileRow() Service {
	return Service{
		Name: Profile, Port: 7001, Migrations: profilestore.Migrations,
		Needs: []string{Catalog},
		Open:  openProfile,
	}
}

func openProfile(_ context.Context, o Opening) (Opened, error) {
	svc := profile.New(profilestore.New(o.DB), profileclients.NewCatalog(catalogv1.NewCatalogServiceClient(o.Conns[Catalog])), profile.Options{
		Now: o.Now,
		Created: func(ctx context.Context, learnerID string) {
			o.Logger.InfoContext(ctx, "learner made at first sign-in", "learner_id", learnerID)
		},
	})
	return Opened{
		Resolver: profilegrpc.NewResolver(svc),
		Register: func(to grpc.ServiceRegistrar, _ <-chan struct{}) {
			profilev1.RegisterProfileServiceServer(to, profilegrpc.NewServer(svc))
		},
	}, nil
}
