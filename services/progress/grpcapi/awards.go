package grpcapi

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/page"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// ListAwards returns one page of the awards that a learner has earned.
func (g *Server) ListAwards(ctx context.Context, r *progressv1.ListAwardsRequest) (*progressv1.ListAwardsResponse, error) {
	token, err := page.NewToken("awards", r.GetLearnerId())
	if err != nil {
		return nil, err
	}
	after, err := token.ReadKey(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := page.Size(int(r.GetPageSize()))
	out := new(progressv1.ListAwardsResponse)
	route := fmt.Sprintf("awards/%d/%s", size, r.GetPageToken())
	return out, g.answer(ctx, r.GetLearnerId(), route, out, func(w *progress.View) (proto.Message, error) {
		awards, err := w.Awards()
		if err != nil {
			return nil, err
		}
		awards, next := page.Cut(token, awards, after, size, awardKey)
		return &progressv1.ListAwardsResponse{Awards: awardProtos(awards), NextPageToken: next}, nil
	})
}

// awardKey orders awards as View.Awards does, in bytes.
func awardKey(a progress.Award) string {
	return fmt.Sprintf("%020d/%020d/%s", a.AwardTime.UnixMicro(), a.FromSequence, a.ID)
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
