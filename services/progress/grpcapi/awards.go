package grpcapi

import (
	"context"
	"strings"

	"google.golang.org/protobuf/proto"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// ListAwards returns the awards that a learner has earned.
func (g *Server) ListAwards(ctx context.Context, r *progressv1.ListAwardsRequest) (*progressv1.ListAwardsResponse, error) {
	out := new(progressv1.ListAwardsResponse)
	return out, g.answer(ctx, r.GetLearnerId(), "awards", out, func(w *progress.View) (proto.Message, error) {
		awards, err := w.Awards()
		if err != nil {
			return nil, err
		}
		return &progressv1.ListAwardsResponse{Awards: awardProtos(awards)}, nil
	})
}

// RevokeAward takes an award back.
func (g *Server) RevokeAward(ctx context.Context, r *progressv1.RevokeAwardRequest) (*progressv1.RevokeAwardResponse, error) {
	actor, err := actorOf(ctx)
	if err != nil {
		return nil, err
	}
	a, err := g.service.Revoke(ctx, r.GetLearnerId(), strings.ToLower(r.GetAwardId()), actor, r.GetReason())
	if err != nil {
		return nil, err
	}
	return &progressv1.RevokeAwardResponse{Award: awardProtos([]progress.Award{a})[0]}, nil
}

// ReinstateAward gives a revoked award back.
func (g *Server) ReinstateAward(ctx context.Context, r *progressv1.ReinstateAwardRequest) (*progressv1.ReinstateAwardResponse, error) {
	actor, err := actorOf(ctx)
	if err != nil {
		return nil, err
	}
	a, err := g.service.Reinstate(ctx, r.GetLearnerId(), strings.ToLower(r.GetAwardId()), actor, r.GetReason())
	if err != nil {
		return nil, err
	}
	return &progressv1.ReinstateAwardResponse{Award: awardProtos([]progress.Award{a})[0]}, nil
}
