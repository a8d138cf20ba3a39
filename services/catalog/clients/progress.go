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
	for _, p := range i.GetPaths() {
		out.Paths = append(out.Paths, catalog.ImpactedPath{
			ID: p.GetPathId(), Title: p.GetTitle(), Milestones: p.GetMilestoneIds(), Enrollments: p.GetEnrollments(),
		})
	}
	return out
}

func pathImpactOf(i *catalogv1.PathImpact) catalog.PathImpact {
	out := catalog.PathImpact{UpgradeOffers: i.GetUpgradeOffers(), ChangedMilestones: i.GetChangedMilestoneIds(), AwardsHeld: i.GetAwardsHeld()}
	for _, e := range i.GetEnrollments() {
		out.Enrollments = append(out.Enrollments, catalog.PinnedEnrollments{Version: int(e.GetPathVersion()), Enrollments: e.GetEnrollments()})
	}
	return out
}
