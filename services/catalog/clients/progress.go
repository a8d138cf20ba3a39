// Package clients calls the services that catalog depends on, and translates what
// they return into the types of package catalog.
package clients

import (
	"context"
	"errors"
	"log/slog"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/grpcapi"
)

type impact struct {
	client progressv1.ProgressServiceClient
	logger *slog.Logger
}

// NewImpact returns an Impact that calls the progress service.
func NewImpact(client progressv1.ProgressServiceClient, logger *slog.Logger) catalog.Impact {
	return impact{client: client, logger: logger}
}

// Module implements Impact.
func (i impact) Module(ctx context.Context, id string, draft catalog.Version[catalog.ModuleContent]) (catalog.ModuleImpact, error) {
	resp, err := i.client.CountModuleImpact(ctx, &progressv1.CountModuleImpactRequest{ModuleId: id, Draft: grpcapi.ModuleVersion(draft)})
	if err == nil && resp.GetImpact() == nil {
		err = errNoImpact
	}
	if err != nil {
		i.warn(ctx, catalog.KindModule, id, err)
		return catalog.ModuleImpact{}, err
	}
	return moduleImpactOf(resp.GetImpact()), nil
}

// Path implements Impact.
func (i impact) Path(ctx context.Context, id string, draft catalog.Version[catalog.PathContent]) (catalog.PathImpact, error) {
	resp, err := i.client.CountPathImpact(ctx, &progressv1.CountPathImpactRequest{PathId: id, Draft: grpcapi.PathVersion(draft)})
	if err == nil && resp.GetImpact() == nil {
		err = errNoImpact
	}
	if err != nil {
		i.warn(ctx, catalog.KindPath, id, err)
		return catalog.PathImpact{}, err
	}
	return pathImpactOf(resp.GetImpact()), nil
}

// ModuleArchive implements Impact.
func (i impact) ModuleArchive(ctx context.Context, id string, latest int) (catalog.ModuleArchiveImpact, error) {
	resp, err := i.client.CountModuleArchive(ctx, &progressv1.CountModuleArchiveRequest{ModuleId: id, LatestVersion: int32(latest)})
	if err == nil && resp.GetImpact() == nil {
		err = errNoImpact
	}
	if err != nil {
		i.warn(ctx, catalog.KindModule, id, err)
		return catalog.ModuleArchiveImpact{}, err
	}
	out := resp.GetImpact()
	return catalog.ModuleArchiveImpact{
		LearnersCompleted: out.GetLearnersCompleted(), LearnersInProgress: out.GetLearnersInProgress(),
		LearnersExcused: out.GetLearnersExcused(), Paths: impactedPathsOf(out.GetPaths()),
	}, nil
}

// PathArchive implements Impact.
func (i impact) PathArchive(ctx context.Context, id string, latest int) (catalog.PathArchiveImpact, error) {
	resp, err := i.client.CountPathArchive(ctx, &progressv1.CountPathArchiveRequest{PathId: id, LatestVersion: int32(latest)})
	if err == nil && resp.GetImpact() == nil {
		err = errNoImpact
	}
	if err != nil {
		i.warn(ctx, catalog.KindPath, id, err)
		return catalog.PathArchiveImpact{}, err
	}
	return catalog.PathArchiveImpact{Enrollments: pinnedOf(resp.GetImpact().GetEnrollments()), AwardsHeld: resp.GetImpact().GetAwardsHeld()}, nil
}

// errNoImpact reports a response without its impact, which must not be read as zero learners.
var errNoImpact = errors.New("the response of progress has no impact")

func (i impact) warn(ctx context.Context, kind catalog.Kind, id string, err error) {
	i.logger.WarnContext(ctx, "a preview goes without its impact", "kind", kind, "id", id, "error", err)
}

func moduleImpactOf(i *catalogv1.ModuleImpact) catalog.ModuleImpact {
	out := catalog.ModuleImpact{
		LearnersCompleted: i.GetLearnersCompleted(), LearnersInProgress: i.GetLearnersInProgress(),
		LearnersToRetrain: i.GetLearnersToRetrain(), LearnersLosingCredit: i.GetLearnersLosingCredit(),
	}
	out.Paths = impactedPathsOf(i.GetPaths())
	return out
}

func impactedPathsOf(paths []*catalogv1.ImpactedPath) []catalog.ImpactedPath {
	out := make([]catalog.ImpactedPath, 0, len(paths))
	for _, p := range paths {
		out = append(out, catalog.ImpactedPath{
			ID: p.GetPathId(), Title: p.GetTitle(), Milestones: p.GetMilestoneIds(), Enrollments: p.GetEnrollments(),
		})
	}
	return out
}

func pinnedOf(pinned []*catalogv1.PinnedEnrollments) []catalog.PinnedEnrollments {
	out := make([]catalog.PinnedEnrollments, 0, len(pinned))
	for _, e := range pinned {
		out = append(out, catalog.PinnedEnrollments{Version: int(e.GetPathVersion()), Enrollments: e.GetEnrollments()})
	}
	return out
}

func pathImpactOf(i *catalogv1.PathImpact) catalog.PathImpact {
	return catalog.PathImpact{
		UpgradeOffers: i.GetUpgradeOffers(), ChangedMilestones: i.GetChangedMilestoneIds(), AwardsHeld: i.GetAwardsHeld(),
		Enrollments: pinnedOf(i.GetEnrollments()),
	}
}
