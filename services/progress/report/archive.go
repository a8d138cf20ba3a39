package report

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// ModuleArchive is whom archiving a module would touch.
type ModuleArchive struct {
	// Completed and InProgress are as in ModuleImpact. The first keep what they have, the others may
	// finish until the sunset.
	Completed, InProgress int64
	// Excused counts the learners with an enrollment that is not withdrawn, on a version that names the
	// module, who have not begun it and do not have it by an equivalence. Whether they have completed
	// the modules of that is counted as it is stored.
	Excused int64
	// Paths are as in ModuleImpact.
	Paths []ImpactedPath
}

// CountModuleArchive counts whom archiving the module now would touch. It asks the catalog where the
// version is not the newest one known here, and returns Unavailable where it still is not.
func (s *Service) CountModuleArchive(ctx context.Context, moduleID string, latest int, minRevision int64) (*ModuleArchive, error) {
	catalog, err := s.catalogBefore(ctx, moduleID, latest+1, minRevision, newestModule(moduleID))
	if err != nil {
		return nil, err
	}
	m, now := catalog.Modules[moduleID], s.now().UTC().Truncate(time.Microsecond)
	var out *ModuleArchive
	err = s.store.Survey(ctx, func(ctx context.Context, survey progress.Survey) error {
		c := &archiveCount{moment: moment{survey, m, now}, fresh: m.Freshness(now)}
		if err := c.ask(ctx, catalog); err != nil {
			return err
		}
		if err := c.learners(ctx); err != nil {
			return err
		}
		c.out.Paths, err = impactedPaths(ctx, survey, catalog, moduleID, now)
		out = &c.out
		return err
	})
	return out, err
}

// archiveCount is one count of the learners whom archiving a module would touch.
type archiveCount struct {
	moment

	fresh    progress.Freshness
	notBegun progress.NotBegun
	out      ModuleArchive
}

// ask finds out who would be excused, as far as stored facts say who has begun.
func (c *archiveCount) ask(ctx context.Context, catalog *progress.Catalog) error {
	naming := versionsNaming(catalog, c.module.ID)
	pinned, err := c.survey.Enrollments(ctx, slices.Sorted(maps.Keys(naming)))
	if err != nil {
		return err
	}
	c.notBegun = progress.NotBegun{ModuleID: c.module.ID, Groups: c.module.CreditGroups(c.now)}
	for _, e := range pinned {
		if on := catalog.Paths[e.PathID].Mandated(e.PathVersion, c.now); slices.Contains(naming[e.PathID], on) {
			c.notBegun.On = append(c.notBegun.On, e)
		}
	}
	c.out.Excused, err = c.survey.NotBegun(ctx, c.notBegun)
	return err
}

// learners counts those with facts: by the group, and one by one where the facts are not fresh.
func (c *archiveCount) learners(ctx context.Context) error {
	groups, err := c.survey.FactsGroups(ctx, c.module.ID)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if c.fresh.Has(&g) {
			c.add(g.CompleteVersion != 0, g.CycleState == progress.CycleOpen, g.Learners)
			continue
		}
		err := c.each(ctx, g, func(learnerID string, f *progress.Facts) error { return c.one(ctx, g, learnerID, f) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *archiveCount) add(completed, inProgress bool, learners int64) {
	if completed {
		c.out.Completed += learners
	}
	if inProgress {
		c.out.InProgress += learners
	}
}

// one counts a learner whose facts are not fresh, and corrects whether they would be excused.
func (c *archiveCount) one(ctx context.Context, g progress.FactsGroup, learnerID string, f *progress.Facts) error {
	is := f.Summary()
	c.add(is.CompleteVersion != 0, is.CycleState == progress.CycleOpen, 1)
	began, begun := g.CycleState == progress.CycleOpen || g.CycleState == progress.CycleDone, is.CycleState != progress.CycleNone
	if began == begun {
		return nil
	}
	q := c.notBegun
	q.LearnerID = learnerID
	n, err := c.survey.NotBegun(ctx, q)
	if begun {
		n = -n
	}
	c.out.Excused += n
	return err
}

// PathArchive is whom archiving a path would touch.
type PathArchive struct {
	// Enrollments are as in PathImpact. They all continue.
	Enrollments []progress.PinnedEnrollments
	// AwardsHeld counts the awards of the path's milestones, of any version, that are not revoked.
	AwardsHeld int64
}

// CountPathArchive counts whom archiving the path would touch. It asks the catalog where the version is not
// the newest one known here, and returns Unavailable where it still is not.
func (s *Service) CountPathArchive(ctx context.Context, pathID string, latest int, minRevision int64) (*PathArchive, error) {
	catalog, err := s.catalogBefore(ctx, pathID, latest+1, minRevision, newestPath(pathID))
	if err != nil {
		return nil, err
	}
	p := catalog.Paths[pathID]
	milestones := map[string]bool{}
	for i := range p.Versions {
		for _, m := range p.Versions[i].Milestones {
			milestones[m.ID] = true
		}
	}
	var out *PathArchive
	err = s.store.Survey(ctx, func(ctx context.Context, survey progress.Survey) error {
		out = &PathArchive{}
		if out.Enrollments, err = enrollmentsOn(ctx, survey, p, s.now()); err != nil {
			return err
		}
		out.AwardsHeld, err = survey.AwardsHeld(ctx, pathID, slices.Sorted(maps.Keys(milestones)))
		return err
	})
	return out, err
}
