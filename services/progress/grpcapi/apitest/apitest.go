// Package apitest has the gRPC API for tests that call it without a conn.
package apitest

import (
	"context"

	"google.golang.org/protobuf/proto"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// Server is the API with its responses as their receivers have them: those that the service sends as they were
// encoded (rpc.Encoded) are decoded, which a test would otherwise find empty.
type Server struct {
	progressv1.ProgressServiceServer
}

func received[M proto.Message](sent M, err error) (M, error) {
	if err != nil {
		return sent, err
	}
	body, err := proto.Marshal(sent)
	if err != nil {
		return sent, err
	}
	proto.Reset(sent)
	return sent, proto.Unmarshal(body, sent)
}

// GetProgress implements progressv1.ProgressServiceServer.
func (s Server) GetProgress(ctx context.Context, r *progressv1.GetProgressRequest) (*progressv1.GetProgressResponse, error) {
	return received(s.ProgressServiceServer.GetProgress(ctx, r))
}

// GetPathProgress implements progressv1.ProgressServiceServer.
func (s Server) GetPathProgress(ctx context.Context, r *progressv1.GetPathProgressRequest) (*progressv1.GetPathProgressResponse, error) {
	return received(s.ProgressServiceServer.GetPathProgress(ctx, r))
}

// ExplainPathProgress implements progressv1.ProgressServiceServer.
func (s Server) ExplainPathProgress(ctx context.Context, r *progressv1.ExplainPathProgressRequest) (*progressv1.ExplainPathProgressResponse, error) {
	return received(s.ProgressServiceServer.ExplainPathProgress(ctx, r))
}

// GetModuleProgress implements progressv1.ProgressServiceServer.
func (s Server) GetModuleProgress(ctx context.Context, r *progressv1.GetModuleProgressRequest) (*progressv1.GetModuleProgressResponse, error) {
	return received(s.ProgressServiceServer.GetModuleProgress(ctx, r))
}

// ListModuleProgress implements progressv1.ProgressServiceServer.
func (s Server) ListModuleProgress(ctx context.Context, r *progressv1.ListModuleProgressRequest) (*progressv1.ListModuleProgressResponse, error) {
	return received(s.ProgressServiceServer.ListModuleProgress(ctx, r))
}

// ListAwards implements progressv1.ProgressServiceServer.
func (s Server) ListAwards(ctx context.Context, r *progressv1.ListAwardsRequest) (*progressv1.ListAwardsResponse, error) {
	return received(s.ProgressServiceServer.ListAwards(ctx, r))
}
