package catalog

import (
	"context"
	"errors"
	"log/slog"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

type impact struct {
	client progressv1.ProgressServiceClient
	logger *slog.Logger
}

// NewImpact returns an Impact that calls the progress service.
func NewImpact(client progressv1.ProgressServiceClient, logger *slog.Logger) Impact {
	return impact{client: client, logger: logger}
}

// Module implements Impact.
func (i impact) Module(ctx context.Context, id string, draft Version[ModuleContent]) (ModuleImpact, error) {
	resp, err := i.client.CountModuleImpact(ctx, &progressv1.CountModuleImpactRequest{ModuleId: id, Draft: moduleVersionProto(draft)})
	if err == nil && resp.GetImpact() == nil {
		err = errNoImpact
	}
	if err != nil {
		i.warn(ctx, KindModule, id, err)
		return ModuleImpact{}, err
	}
	return moduleImpactOf(resp.GetImpact()), nil
}

// Path implements Impact.
func (i impact) Path(ctx context.Context, id string, draft Version[PathContent]) (PathImpact, error) {
	resp, err := i.client.CountPathImpact(ctx, &progressv1.CountPathImpactRequest{PathId: id, Draft: pathVersionProto(draft)})
	if err == nil && resp.GetImpact() == nil {
		err = errNoImpact
	}
	if err != nil {
		i.warn(ctx, KindPath, id, err)
		return PathImpact{}, err
	}
	return pathImpactOf(resp.GetImpact()), nil
}

// errNoImpact reports a response without its impact, which must not be read as zero learners.
var errNoImpact = errors.New("the response of progress has no impact")

func (i impact) warn(ctx context.Context, kind Kind, id string, err error) {
	i.logger.WarnContext(ctx, "a preview goes without its impact", "kind", kind, "id", id, "error", err)
}

func moduleImpactOf(i *catalogv1.ModuleImpact) ModuleImpact {
	out := ModuleImpact{
		LearnersCompleted: i.GetLearnersCompleted(), LearnersInProgress: i.GetLearnersInProgress(),
		LearnersToRetrain: i.GetLearnersToRetrain(), LearnersLosingCredit: i.GetLearnersLosingCredit(),
	}
	for _, p := range i.GetPaths() {
		out.Paths = append(out.Paths, ImpactedPath{
			ID: p.GetPathId(), Title: p.GetTitle(), Milestones: p.GetMilestoneIds(), Enrollments: p.GetEnrollments(),
		})
	}
	return out
}

// moduleImpactProto is absent for what was not counted.
func moduleImpactProto(i *ModuleImpact) *catalogv1.ModuleImpact {
	if i == nil {
		return nil
	}
	out := &catalogv1.ModuleImpact{
		LearnersCompleted: i.LearnersCompleted, LearnersInProgress: i.LearnersInProgress,
		LearnersToRetrain: i.LearnersToRetrain, LearnersLosingCredit: i.LearnersLosingCredit,
	}
	for _, p := range i.Paths {
		out.Paths = append(out.Paths, &catalogv1.ImpactedPath{
			PathId: p.ID, Title: p.Title, MilestoneIds: p.Milestones, Enrollments: p.Enrollments,
		})
	}
	return out
}

func pathImpactOf(i *catalogv1.PathImpact) PathImpact {
	out := PathImpact{UpgradeOffers: i.GetUpgradeOffers(), ChangedMilestones: i.GetChangedMilestoneIds(), AwardsHeld: i.GetAwardsHeld()}
	for _, e := range i.GetEnrollments() {
		out.Enrollments = append(out.Enrollments, PinnedEnrollments{Version: int(e.GetPathVersion()), Enrollments: e.GetEnrollments()})
	}
	return out
}

// pathImpactProto is absent for what was not counted.
func pathImpactProto(i *PathImpact) *catalogv1.PathImpact {
	if i == nil {
		return nil
	}
	out := &catalogv1.PathImpact{UpgradeOffers: i.UpgradeOffers, ChangedMilestoneIds: i.ChangedMilestones, AwardsHeld: i.AwardsHeld}
	for _, e := range i.Enrollments {
		out.Enrollments = append(out.Enrollments, &catalogv1.PinnedEnrollments{PathVersion: int32(e.Version), Enrollments: e.Enrollments})
	}
	return out
}
