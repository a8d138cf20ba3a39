package catalog

import (
	"context"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

type progressClient struct {
	client progressv1.ProgressServiceClient
}

// NewImpact makes an Impact that asks the progress service.
func NewImpact(client progressv1.ProgressServiceClient) Impact { return progressClient{client: client} }

// Module is Impact's.
func (p progressClient) Module(ctx context.Context, id string, draft Version[ModuleContent]) (ModuleImpact, error) {
	resp, err := p.client.CountModuleImpact(ctx, &progressv1.CountModuleImpactRequest{ModuleId: id, Draft: moduleVersionProto(draft)})
	if err != nil {
		return ModuleImpact{}, err
	}
	if resp.GetImpact() == nil {
		return ModuleImpact{}, noImpact()
	}
	return moduleImpactOf(resp.GetImpact()), nil
}

// Path is Impact's.
func (p progressClient) Path(ctx context.Context, id string, draft Version[PathContent]) (PathImpact, error) {
	resp, err := p.client.CountPathImpact(ctx, &progressv1.CountPathImpactRequest{PathId: id, Draft: pathVersionProto(draft)})
	if err != nil {
		return PathImpact{}, err
	}
	if resp.GetImpact() == nil {
		return PathImpact{}, noImpact()
	}
	return pathImpactOf(resp.GetImpact()), nil
}

// noImpact keeps an answer that says nothing from being read as nobody.
func noImpact() error { return errs.New(errs.Internal, "", "progress answered without counting") }

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
