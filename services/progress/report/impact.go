// Package report counts over all learners: whom publishing a draft would touch.
package report

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// An author asks, before publishing a draft, whom it would touch. The results are counts of what is
// so now, and of what would be so once the draft is in effect, by the same rules as any learner's own
// progress: the draft is put into a copy of the catalog, and facts are folded and brought up to now with it.
// Since there may be very many learners, those whose facts say the same in short (Summary) are
// counted together; where that does not decide, those who have done the same are judged by one of
// them. Only facts that time or the catalog has overtaken are brought up to date in memory, one by
// one, until a sweep has stored them. Nothing is written.

// Store is what previews read.
type Store interface {
	// Survey runs fn on one snapshot of all learners. It may run fn again after a conflict.
	Survey(ctx context.Context, fn func(context.Context, progress.Survey) error) error
}

// Catalog is the catalog as far as it is known here.
type Catalog interface {
	// Current returns the newest known snapshot.
	Current() *progress.Catalog
	// AtLeast returns a snapshot of at least a revision, or an older one where that cannot be had.
	AtLeast(ctx context.Context, revision int64) *progress.Catalog
	// Refresh asks the catalog for what is new. It returns Unavailable when that cannot be reached.
	Refresh(ctx context.Context) error
}

// Service previews what publishing a draft would do.
type Service struct {
	store   Store
	catalog Catalog
	now     func() time.Time
}

// New returns a Service.
func New(store Store, catalog Catalog, now func() time.Time) *Service {
	return &Service{store: store, catalog: catalog, now: now}
}

// ModuleImpact is whom the publication of a module's draft would touch. Only a MATERIAL draft
// touches what learners have; for any other the last two numbers are 0.
type ModuleImpact struct {
	// Completed counts the learners with a completed cycle of the module, on any version, by their
	// own events or an admin's waiver. Equivalences are not completions of it.
	Completed int64
	// InProgress counts the learners who have begun it and whose current cycle is not complete, be it
	// their first one or a renewal: learners who renew count in Completed as well.
	InProgress int64
	// ToRetrain counts those of Completed whose last completion stands SUPERSEDED by the draft when
	// that is in effect and its grace is over, if they do nothing until then. It leaves out those whom
	// the draft asks for no unit anew, since the fold opens and completes the new cycle by itself (see
	// progress.Facts.AsOf); a waiver of a whole cycle is of that cycle alone. Learners who are
	// SUPERSEDED or EXPIRED already count too: the draft is what they would have to learn.
	ToRetrain int64
	// LosingCredit counts those of InProgress who have now done some unit, required or not, as far as
	// the version goes that they are on, and the draft invalidates it. A cycle that was waived as a
	// whole loses nothing.
	LosingCredit int64
	// Paths are those that name the module in a version with enrollments, or that are active and name
	// it in their newest version, by id.
	Paths []ImpactedPath
}

// ImpactedPath is a path that names a module.
type ImpactedPath struct {
	PathID string
	// Title is the newest version's.
	Title string
	// MilestoneIDs are those that name the module, in order, of the newest version that has any.
	MilestoneIDs []string
	// Enrollments counts those that are not withdrawn, on any version that names the module. One that
	// a mandatory upgrade moved to a version is on that one.
	Enrollments int64
}

// CountModuleImpact counts whom publishing the draft as the module's next version would touch. A
// draft is counted as coming into effect at its EffectiveTime, and after all events that are stored.
// It asks the catalog where what is known here does not fit the draft's number, and returns Unavailable
// where it still does not.
func (s *Service) CountModuleImpact(ctx context.Context, moduleID string, draft progress.ModuleVersion, minRevision int64) (*ModuleImpact, error) {
	catalog, err := s.catalogBefore(ctx, moduleID, draft.Number, minRevision, newestModule(moduleID))
	if err != nil {
		return nil, err
	}
	m, now := catalog.Modules[moduleID], s.now().UTC().Truncate(time.Microsecond)
	if m == nil {
		m = &progress.Module{ID: moduleID, State: progress.ModuleActive}
	}
	next := progress.NewDraft(m, draft, now)
	var out *ModuleImpact
	err = s.store.Survey(ctx, func(ctx context.Context, survey progress.Survey) error {
		c := &impactCount{survey: survey, now: now, module: m, draft: next, fresh: m.Freshness(now)}
		if err := c.learners(ctx); err != nil {
			return err
		}
		var err error
		c.out.Paths, err = impactedPaths(ctx, survey, catalog, moduleID, now)
		out = &c.out
		return err
	})
	return out, err
}

// catalogBefore returns a catalog in which the newest version is the one before number.
func (s *Service) catalogBefore(ctx context.Context, id string, number int, minRevision int64, newest func(*progress.Catalog) int) (*progress.Catalog, error) {
	c := s.catalog.AtLeast(ctx, minRevision)
	if newest(c)+1 != number {
		if err := s.catalog.Refresh(ctx); err != nil {
			return nil, errs.Wrap(err, errs.Unavailable, errs.ReasonCatalogBehind,
				"version %d of %s is not the next one known here, and the catalog cannot be reached", number, id)
		}
		c = s.catalog.Current()
	}
	return c, checkNext(id, newest(c), number)
}

// newestModule returns what a module's newest version in a catalog is; 0: there is none.
func newestModule(id string) func(*progress.Catalog) int {
	return func(c *progress.Catalog) int {
		if m := c.Modules[id]; m != nil {
			return len(m.Versions)
		}
		return 0
	}
}

// newestPath is newestModule of a path.
func newestPath(id string) func(*progress.Catalog) int {
	return func(c *progress.Catalog) int {
		if p := c.Paths[id]; p != nil {
			return len(p.Versions)
		}
		return 0
	}
}

func checkNext(id string, newest, number int) error {
	if newest+1 != number {
		return errs.New(errs.Unavailable, errs.ReasonCatalogBehind,
			"version %d of %s cannot follow version %d, the newest known here; ask again", number, id, newest)
	}
	return nil
}

// impactCount is one count of a module's learners.
type impactCount struct {
	survey progress.Survey
	now    time.Time
	module *progress.Module
	draft  *progress.Draft
	fresh  progress.Freshness
	out    ModuleImpact
}

func (c *impactCount) add(is progress.DraftEffect, learners int64) {
	for _, n := range []struct {
		is bool
		to *int64
	}{{is.Completed, &c.out.Completed}, {is.InProgress, &c.out.InProgress}, {is.ToRetrain, &c.out.ToRetrain}, {is.LosingCredit, &c.out.LosingCredit}} {
		if n.is {
			*n.to += learners
		}
	}
}

// surveyPage is how many learners' facts are held at a time.
const surveyPage = 1000

// learners counts them: by the group where nothing of them is touched, else by what they have done,
// and one by one where the facts are not fresh.
func (c *impactCount) learners(ctx context.Context) error {
	groups, err := c.survey.FactsGroups(ctx, c.module.ID)
	if err != nil {
		return err
	}
	for _, g := range groups {
		switch {
		case !c.fresh.Has(&g):
			err = c.eachOf(ctx, g)
		case c.draft.Material():
			err = c.shapesOf(ctx, g)
		default:
			c.add(progress.DraftEffect{Completed: g.CompleteVersion != 0, InProgress: g.CycleState == progress.CycleOpen}, g.Learners)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shapesOf counts the learners of a group by what they have done: one stands for all with the same.
func (c *impactCount) shapesOf(ctx context.Context, g progress.FactsGroup) error {
	shapes, err := c.survey.FactsShapes(ctx, c.module.ID, g)
	for _, s := range shapes {
		c.add(c.draft.Effect(s.Facts.AsOf(c.module, c.now)), s.Learners)
	}
	return err
}

// eachOf counts the learners of a group one by one.
func (c *impactCount) eachOf(ctx context.Context, g progress.FactsGroup) error {
	at := moment{c.survey, c.module, c.now}
	return at.each(ctx, g, func(_ string, f *progress.Facts) error {
		c.add(c.draft.Effect(f), 1)
		return nil
	})
}

// moment is a module's learners at one time.
type moment struct {
	survey progress.Survey
	module *progress.Module
	now    time.Time
}

// each visits the learners of a group with their facts as folded up to now.
func (m moment) each(ctx context.Context, g progress.FactsGroup, visit func(learnerID string, f *progress.Facts) error) error {
	after := ""
	for {
		page, err := m.survey.FactsOf(ctx, m.module.ID, g, after, surveyPage)
		if err != nil {
			return err
		}
		for _, l := range page {
			f, err := m.upToDate(ctx, l)
			if err != nil {
				return err
			}
			if err := visit(l.LearnerID, f); err != nil {
				return err
			}
		}
		if len(page) < surveyPage {
			return nil
		}
		after = page[len(page)-1].LearnerID
	}
}

// upToDate returns the facts as folded up to now.
func (m moment) upToDate(ctx context.Context, l progress.LearnerFacts) (*progress.Facts, error) {
	if !l.Facts.Stale(m.module) {
		return l.Facts.AsOf(m.module, m.now), nil
	}
	log, err := m.survey.ModuleLog(ctx, l.LearnerID, m.module.ID)
	if err != nil {
		return nil, err
	}
	return progress.FoldLog(m.module, log).AsOf(m.module, m.now), nil
}

// impactedPaths returns the paths that name a module.
func impactedPaths(ctx context.Context, survey progress.Survey, catalog *progress.Catalog, moduleID string, now time.Time) ([]ImpactedPath, error) {
	naming := versionsNaming(catalog, moduleID)
	ids := slices.Sorted(maps.Keys(naming))
	pinned, err := survey.Enrollments(ctx, ids)
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for _, e := range pinned {
		if on := catalog.Paths[e.PathID].Mandated(e.PathVersion, now); slices.Contains(naming[e.PathID], on) {
			counts[e.PathID] += e.Count
		}
	}
	var out []ImpactedPath
	for _, id := range ids {
		p, versions := catalog.Paths[id], naming[id]
		newest := versions[len(versions)-1]
		if counts[id] == 0 && (p.State != progress.ModuleActive || newest != p.Newest().Number) {
			continue
		}
		out = append(out, ImpactedPath{
			PathID: id, Title: p.Newest().Title, MilestoneIDs: p.Version(newest).MilestonesWith(moduleID), Enrollments: counts[id],
		})
	}
	return out, nil
}

// versionsNaming returns the path versions that name a module, by path.
func versionsNaming(catalog *progress.Catalog, moduleID string) map[string][]int {
	naming := map[string][]int{}
	for id, p := range catalog.Paths {
		for i := range p.Versions {
			if slices.Contains(p.Versions[i].ModuleIDs(), moduleID) {
				naming[id] = append(naming[id], p.Versions[i].Number)
			}
		}
	}
	return naming
}

// PathImpact is whom the publication of a path's draft would touch.
type PathImpact struct {
	// UpgradeOffers counts the enrollments that are not withdrawn: each would be offered the upgrade.
	UpgradeOffers int64
	// Enrollments are the same by the version that they are on, oldest first. One that a mandatory
	// upgrade moved to a version is on that one.
	Enrollments []progress.PinnedEnrollments
	// ChangedMilestoneIDs are the draft's milestones that the newest version lacks or that ask for
	// something else there, in order, and then those of the newest version that the draft lacks. A
	// title, and the order in which modules are named, are nothing that a milestone asks for.
	ChangedMilestoneIDs []string
	// AwardsHeld counts the awards of those milestones that are not revoked; they stay.
	AwardsHeld int64
}

// CountPathImpact counts whom publishing the draft as the path's next version would touch. It asks
// the catalog where what is known here does not fit the draft's number, and returns Unavailable
// where it still does not.
func (s *Service) CountPathImpact(ctx context.Context, pathID string, draft progress.PathVersion, minRevision int64) (*PathImpact, error) {
	catalog, err := s.catalogBefore(ctx, pathID, draft.Number, minRevision, newestPath(pathID))
	if err != nil {
		return nil, err
	}
	p, now := catalog.Paths[pathID], s.now()
	if p == nil {
		p = &progress.Path{ID: pathID}
	}
	var before []progress.Milestone
	if len(p.Versions) > 0 {
		before = p.Newest().Milestones
	}
	changed := progress.ChangedMilestones(before, draft.Milestones)
	var out *PathImpact
	err = s.store.Survey(ctx, func(ctx context.Context, survey progress.Survey) error {
		out = &PathImpact{ChangedMilestoneIDs: changed}
		if out.Enrollments, err = enrollmentsOn(ctx, survey, p, now); err != nil {
			return err
		}
		for _, e := range out.Enrollments {
			out.UpgradeOffers += e.Count
		}
		out.AwardsHeld, err = survey.AwardsHeld(ctx, pathID, changed)
		return err
	})
	return out, err
}

// enrollmentsOn returns a path's enrollments that are not withdrawn by the version that they are on.
func enrollmentsOn(ctx context.Context, survey progress.Survey, p *progress.Path, now time.Time) ([]progress.PinnedEnrollments, error) {
	pinned, err := survey.Enrollments(ctx, []string{p.ID})
	if err != nil {
		return nil, err
	}
	on := map[int]int64{}
	for _, e := range pinned {
		on[p.Mandated(e.PathVersion, now)] += e.Count
	}
	var out []progress.PinnedEnrollments
	for _, version := range slices.Sorted(maps.Keys(on)) {
		out = append(out, progress.PinnedEnrollments{PathID: p.ID, PathVersion: version, Count: on[version]})
	}
	return out, nil
}
