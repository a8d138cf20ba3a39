package grpcapi

import (
	"context"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// MandatePathVersion makes an upgrade mandatory.
func (s *Server) MandatePathVersion(ctx context.Context, req *catalogv1.MandatePathVersionRequest) (*catalogv1.MandatePathVersionResponse, error) {
	effective, err := timeOf("effectiveTime", req.GetEffectiveTime())
	if err != nil {
		return nil, err
	}
	mandate := catalog.Mandate{Number: int(req.GetNumber()), EffectiveTime: effective, Reason: req.GetReason(), Actor: actor(ctx)}
	path, err := s.service.Mandate(ctx, req.GetPathId(), mandate, rpc.PreconditionsOf(ctx, req.GetEtag()).Match)
	if err != nil {
		return nil, err
	}
	return &catalogv1.MandatePathVersionResponse{Path: pathProto(path)}, setChanged(ctx, path.Etag(), path.Revision)
}

// WithdrawMandate makes a mandate count as never made.
func (s *Server) WithdrawMandate(ctx context.Context, req *catalogv1.WithdrawMandateRequest) (*catalogv1.WithdrawMandateResponse, error) {
	withdrawal := catalog.Withdrawal{Number: int(req.GetNumber()), Reason: req.GetReason(), Actor: actor(ctx)}
	path, err := s.service.WithdrawMandate(ctx, req.GetPathId(), withdrawal, rpc.PreconditionsOf(ctx, req.GetEtag()).Match)
	if err != nil {
		return nil, err
	}
	return &catalogv1.WithdrawMandateResponse{Path: pathProto(path)}, setChanged(ctx, path.Etag(), path.Revision)
}
