package server

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/catalog"
	catalogclients "github.com/preceptor-dev/preceptor/services/catalog/clients"
	"github.com/preceptor-dev/preceptor/services/catalog/document"
	cataloggrpc "github.com/preceptor-dev/preceptor/services/catalog/grpcapi"
	catalogstore "github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
	"github.com/preceptor-dev/preceptor/services/catalog/starter"
)

func catalogRow() Service {
	return Service{
		Name: Catalog, Port: 7002, Migrations: catalogstore.Migrations,
		Calls: []string{Progress}, // previews of a publication count learners, and do without
		Settings: []Setting{{
			Flag: "starter", Usage: "fill an empty catalog with the starter catalog", Default: "true", InOneProcess: true,
			To: func(c *Config) any { return &c.Starter },
		}},
		MaxRecv: catalog.MaxImport + rpc.DefaultMaxRecv, // the largest import, as a message
		Audited: true,
		Open:    openCatalog,
	}
}

func openCatalog(ctx context.Context, o Opening) (Opened, error) {
	svc := catalog.New(catalogstore.New(o.DB), document.Codec{}, catalog.Options{
		Now: o.Now, Impact: catalogclients.NewImpact(progressv1.NewProgressServiceClient(o.Conns[Progress]), o.Logger),
	})
	if o.Config.Starter {
		if _, err := starter.Load(ctx, svc); err != nil {
			return Opened{}, fmt.Errorf("the starter catalog cannot be loaded: %w", err)
		}
	}
	return Opened{Register: func(to grpc.ServiceRegistrar, _ <-chan struct{}) {
		catalogv1.RegisterCatalogServiceServer(to, cataloggrpc.NewServer(svc, o.Now))
	}}, nil
}
