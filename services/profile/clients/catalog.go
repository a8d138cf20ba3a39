// Package clients calls the services that profile depends on, and translates what
// they return into the types of package profile.
package clients

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// catalogPageSize is the most that the catalog gives at once.
const catalogPageSize = 200

type catalogClient struct {
	client catalogv1.CatalogServiceClient
}

// NewCatalog returns a Catalog that calls the catalog service. Profile may read its published paths whatever
// the caller's roles are, whose token is passed on.
func NewCatalog(client catalogv1.CatalogServiceClient) profile.Catalog {
	return catalogClient{client: client}
}

// ActivePaths implements Catalog.
func (c catalogClient) ActivePaths(ctx context.Context) ([]profile.Path, error) {
	var paths []profile.Path
	req := &catalogv1.ListPathsRequest{State: catalogv1.Module_ACTIVE, PageSize: catalogPageSize}
	for {
		page, err := c.client.ListPaths(ctx, req)
		if err != nil {
			return nil, catalogFault(ctx, err)
		}
		for _, p := range page.GetPaths() {
			paths = append(paths, pathOf(p))
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			return paths, nil
		}
	}
}

// catalogFault passes on the errors that the caller causes: a canceled call, a deadline, a
// token that is not accepted any more. Any other error is an unavailable catalog.
func catalogFault(ctx context.Context, err error) error {
	if code := status.Code(err); ctx.Err() != nil || code == codes.Unauthenticated || code == codes.PermissionDenied {
		return err
	}
	return errs.Wrap(err, errs.Unavailable, errs.ReasonUpstreamUnavailable, "the catalog does not answer at the moment")
}

func pathOf(p *catalogv1.Path) profile.Path {
	v := p.GetVersion()
	backgrounds := make([]profile.Background, len(v.GetBackgrounds()))
	for i, b := range v.GetBackgrounds() {
		backgrounds[i] = profile.Background(b)
	}
	return profile.Path{ID: p.GetId(), Title: v.GetTitle(), Roles: v.GetRoles(), Backgrounds: backgrounds}
}
