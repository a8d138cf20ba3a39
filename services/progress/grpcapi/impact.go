package grpcapi

import (
	"context"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/services/progress/clients"
)

// CountModuleImpact counts whom the publication of a module's draft would touch.
func (g *Server) CountModuleImpact(ctx context.Context, r *progressv1.CountModuleImpactRequest) (*progressv1.CountModuleImpactResponse, error) {
	draft, err := clients.ModuleVersionOf(r.GetDraft())
	if err != nil {
		return nil, err
	}
	impact, err := g.previews.CountModuleImpact(ctx, r.GetModuleId(), draft, atLeast(ctx).Catalog)
	if err != nil {
		return nil, err
	}
	out := &catalogv1.ModuleImpact{
		LearnersCompleted: impact.Completed, LearnersInProgress: impact.InProgress,
		LearnersToRetrain: impact.ToRetrain, LearnersLosingCredit: impact.LosingCredit,
	}
	for _, p := range impact.Paths {
		out.Paths = append(out.Paths, &catalogv1.ImpactedPath{PathId: p.PathID, Title: p.Title, MilestoneIds: p.MilestoneIDs, Enrollments: p.Enrollments})
	}
	return &progressv1.CountModuleImpactResponse{Impact: out}, nil
}

// CountPathImpact counts whom the publication of a path's draft would touch.
func (g *Server) CountPathImpact(ctx context.Context, r *progressv1.CountPathImpactRequest) (*progressv1.CountPathImpactResponse, error) {
	impact, err := g.previews.CountPathImpact(ctx, r.GetPathId(), clients.PathVersionOf(r.GetDraft()), atLeast(ctx).Catalog)
	if err != nil {
		return nil, err
	}
	out := &catalogv1.PathImpact{UpgradeOffers: impact.UpgradeOffers, ChangedMilestoneIds: impact.ChangedMilestoneIDs, AwardsHeld: impact.AwardsHeld}
	for _, e := range impact.Enrollments {
		out.Enrollments = append(out.Enrollments, &catalogv1.PinnedEnrollments{PathVersion: count(e.PathVersion), Enrollments: e.Count})
	}
	return &progressv1.CountPathImpactResponse{Impact: out}, nil
}
