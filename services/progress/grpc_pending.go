package progress

import (
	"context"

	"google.golang.org/grpc"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

func pending() error { return errs.New(errs.Unimplemented, "UNIMPLEMENTED", "this is not offered yet") }

// VerifyProgress is not offered yet.
func (g *Server) VerifyProgress(*progressv1.VerifyProgressRequest, grpc.ServerStreamingServer[progressv1.VerifyProgressResponse]) error {
	return pending()
}

// RebuildProgress is not offered yet.
func (g *Server) RebuildProgress(*progressv1.RebuildProgressRequest, grpc.ServerStreamingServer[progressv1.RebuildProgressResponse]) error {
	return pending()
}

// CountModuleImpact is not offered yet.
func (g *Server) CountModuleImpact(context.Context, *progressv1.CountModuleImpactRequest) (*progressv1.CountModuleImpactResponse, error) {
	return nil, pending()
}

// CountPathImpact is not offered yet.
func (g *Server) CountPathImpact(context.Context, *progressv1.CountPathImpactRequest) (*progressv1.CountPathImpactResponse, error) {
	return nil, pending()
}
