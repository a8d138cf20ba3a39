package catalog

import (
	"context"
	"time"
)

// Impact counts the learners that a publication would affect. It writes nothing, and logs
// why it cannot count. The draft is the version that it would become, though there may be
// violations against it.
type Impact interface {
	// Module counts for a module's draft. Returns Unavailable when progress is.
	Module(ctx context.Context, id string, draft Version[ModuleContent]) (ModuleImpact, error)

	// Path counts for a path's draft, as Module does.
	Path(ctx context.Context, id string, draft Version[PathContent]) (PathImpact, error)

	// ModuleArchive counts for archiving a module whose newest version is the latest, as Module does.
	ModuleArchive(ctx context.Context, id string, latest int) (ModuleArchiveImpact, error)

	// PathArchive counts for archiving a path, as Module does.
	PathArchive(ctx context.Context, id string, latest int) (PathArchiveImpact, error)
}

// ModuleImpact is whom the publication of a module's draft would touch.
type ModuleImpact struct {
	// LearnersCompleted have completed the module, on any version; LearnersInProgress are
	// in the middle of it.
	LearnersCompleted, LearnersInProgress int64
	// LearnersToRetrain are those of LearnersCompleted that would turn SUPERSEDED with
	// something left to learn.
	LearnersToRetrain int64
	// LearnersLosingCredit are those of LearnersInProgress that would lose credit for a unit.
	LearnersLosingCredit int64
	// Paths are those with learners, or open to new ones, that name the module, by id.
	Paths []ImpactedPath
}

// ImpactedPath is a path that names a module.
type ImpactedPath struct {
	ID, Title string
	// Milestones are the ids of those that name the module, in order.
	Milestones []string
	// Enrollments are not withdrawn, and on versions that name the module.
	Enrollments int64
}

// PathImpact is whom the publication of a path's draft would touch.
type PathImpact struct {
	// UpgradeOffers are the enrollments that are not withdrawn.
	UpgradeOffers int64
	// Enrollments are the same by the version that they are pinned to, oldest first.
	Enrollments []PinnedEnrollments
	// ChangedMilestones are the ids of milestones that are new, gone, or ask for something
	// else than in the newest version, in order.
	ChangedMilestones []string
	// AwardsHeld are the awards of those milestones; they all stay.
	AwardsHeld int64
}

// PinnedEnrollments counts the enrollments of one path version.
type PinnedEnrollments struct {
	Version     int
	Enrollments int64
}

// impactPatience is how long a preview waits for an impact: an author wants the violations
// in any case.
const impactPatience = 2 * time.Second

func (s *Service) moduleImpact(ctx context.Context, item Module, p Publication) *ModuleImpact {
	if s.impact == nil || item.Draft != nil && !item.Draft.renewable() {
		return nil
	}
	return impactOf(ctx, s.Modules, item, p, s.impact.Module)
}

func (s *Service) pathImpact(ctx context.Context, item Path) *PathImpact {
	if s.impact == nil {
		return nil
	}
	return impactOf(ctx, s.Paths, item, Publication{}, s.impact.Path)
}

// impactOf returns what count makes of the item's draft; nil when there is no draft, when
// its shape is invalid, and when count fails: a preview without an impact is better than none.
func impactOf[C Content[C], I any](
	ctx context.Context, c *Collection[C], item Item[C], p Publication, count func(context.Context, string, Version[C]) (I, error),
) *I {
	if item.Draft == nil || shapeless(*item.Draft) {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, impactPatience)
	defer cancel()
	hash, err := contentHash(*item.Draft)
	if err != nil {
		return nil
	}
	impact, err := count(bounded, item.ID, c.version(item, edition[C]{content: *item.Draft, publication: p, now: c.service.micros(), hash: hash}))
	if err != nil {
		return nil
	}
	return &impact
}

// renewable reports whether one can say when a completion ends: of a currency policy with violations against
// it, such as one whose fixed date is not written yet, one cannot.
func (c ModuleContent) renewable() bool {
	f := faults{}
	if c.CurrencyPolicy != nil {
		c.CurrencyPolicy.check(&f)
	}
	return f.len() == 0
}

// shapeless reports whether a content breaks a rule of its shape, as those stored before the rule do.
func shapeless[C Content[C]](content C) bool {
	f := content.shape()
	return f.len() > 0
}
