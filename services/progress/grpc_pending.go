package progress

import (
	"context"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

func pending() error { return errs.New(errs.Unimplemented, "UNIMPLEMENTED", "this is not offered yet") }

// CountModuleImpact is not offered yet.
func (g *Server) CountModuleImpact(context.Context, *progressv1.CountModuleImpactRequest) (*progressv1.CountModuleImpactResponse, error) {
	return nil, pending()
}

// CountPathImpact is not offered yet.
func (g *Server) CountPathImpact(context.Context, *progressv1.CountPathImpactRequest) (*progressv1.CountPathImpactResponse, error) {
	return nil, pending()
}
