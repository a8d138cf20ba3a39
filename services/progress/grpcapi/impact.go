package grpcapi

import (
	"context"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/clients"
	"github.com/preceptor-dev/preceptor/services/progress/report"
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
	out.Paths = impactedPathProtos(impact.Paths)
	return &progressv1.CountModuleImpactResponse{Impact: out}, nil
}

// CountPathImpact counts whom the publication of a path's draft would touch.
func (g *Server) CountPathImpact(ctx context.Context, r *progressv1.CountPathImpactRequest) (*progressv1.CountPathImpactResponse, error) {
	impact, err := g.previews.CountPathImpact(ctx, r.GetPathId(), clients.PathVersionOf(r.GetDraft()), atLeast(ctx).Catalog)
	if err != nil {
		return nil, err
	}
	out := &catalogv1.PathImpact{UpgradeOffers: impact.UpgradeOffers, ChangedMilestoneIds: impact.ChangedMilestoneIDs, AwardsHeld: impact.AwardsHeld}
	out.Enrollments = pinnedProtos(impact.Enrollments)
	return &progressv1.CountPathImpactResponse{Impact: out}, nil
}

// CountModuleArchive counts whom archiving a module would touch.
func (g *Server) CountModuleArchive(ctx context.Context, r *progressv1.CountModuleArchiveRequest) (*progressv1.CountModuleArchiveResponse, error) {
	impact, err := g.previews.CountModuleArchive(ctx, r.GetModuleId(), int(r.GetLatestVersion()), atLeast(ctx).Catalog)
	if err != nil {
		return nil, err
	}
	return &progressv1.CountModuleArchiveResponse{Impact: &catalogv1.ModuleArchiveImpact{
		LearnersCompleted: impact.Completed, LearnersInProgress: impact.InProgress, LearnersExcused: impact.Excused,
		Paths: impactedPathProtos(impact.Paths),
	}}, nil
}

// CountPathArchive counts whom archiving a path would touch.
func (g *Server) CountPathArchive(ctx context.Context, r *progressv1.CountPathArchiveRequest) (*progressv1.CountPathArchiveResponse, error) {
	impact, err := g.previews.CountPathArchive(ctx, r.GetPathId(), int(r.GetLatestVersion()), atLeast(ctx).Catalog)
	if err != nil {
		return nil, err
	}
	return &progressv1.CountPathArchiveResponse{Impact: &catalogv1.PathArchiveImpact{
		Enrollments: pinnedProtos(impact.Enrollments), AwardsHeld: impact.AwardsHeld,
	}}, nil
}

func impactedPathProtos(paths []report.ImpactedPath) []*catalogv1.ImpactedPath {
	out := make([]*catalogv1.ImpactedPath, 0, len(paths))
	for _, p := range paths {
		out = append(out, &catalogv1.ImpactedPath{PathId: p.PathID, Title: p.Title, MilestoneIds: p.MilestoneIDs, Enrollments: p.Enrollments})
	}
	return out
}

func pinnedProtos(pinned []progress.PinnedEnrollments) []*catalogv1.PinnedEnrollments {
	out := make([]*catalogv1.PinnedEnrollments, 0, len(pinned))
	for _, e := range pinned {
		out = append(out, &catalogv1.PinnedEnrollments{PathVersion: count(e.PathVersion), Enrollments: e.Count})
	}
	return out
}
