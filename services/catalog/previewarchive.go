package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/page"
)

// ModuleArchiveImpact is whom archiving a module would touch.
type ModuleArchiveImpact struct {
	// LearnersCompleted keep what they have. LearnersInProgress may finish until the sunset.
	LearnersCompleted, LearnersInProgress int64
	// LearnersExcused are on a path that names the module, and have not begun it.
	LearnersExcused int64
	// Paths are those with learners, or open to new ones, that name the module, by id.
	Paths []ImpactedPath
}

// PathArchiveImpact is whom archiving a path would touch: they all continue.
type PathArchiveImpact struct {
	// Enrollments are not withdrawn, by the version that they are on, oldest first.
	Enrollments []PinnedEnrollments
	// AwardsHeld are the awards of the path's milestones; they all stay.
	AwardsHeld int64
}

// ArchivePreview is what archiving a module or path would do. All lists but the first are of a module, by id.
type ArchivePreview struct {
	// Violations are those of archiving it; none: it can be archived.
	Violations []errs.Violation
	// Warnings are of active paths that nobody who begins after it could finish, and that somebody could
	// finish before: the first, and how many more there are.
	Warnings     []errs.Violation
	MoreWarnings int
	// Paths are the active paths that name the module.
	Paths []string
	// Prerequisite are the modules whose newest version has it as a prerequisite, and Credits those
	// whose newest version it gives credit for.
	Prerequisite, Credits []string
	// DraftModules and DraftPaths have a draft that could then not be published: it has the module as a
	// prerequisite, or in a milestone.
	DraftModules, DraftPaths []string
	// ModuleImpact is whom it would touch; nil when that could not be counted, with violations, and for a
	// path. PathImpact is the same of a path.
	ModuleImpact *ModuleArchiveImpact
	PathImpact   *PathArchiveImpact
}

// PreviewArchiveModule returns what archiving the module would do, and writes nothing.
// Returns NotFound.
func (s *Service) PreviewArchiveModule(ctx context.Context, id string, sunset time.Time) (ArchivePreview, error) {
	item, err := s.Modules.items.Get(ctx, id)
	if err != nil {
		return ArchivePreview{}, err
	}
	refused := item.archiveFaults()
	refused.add(sunsetFaults(sunset, s.micros()))
	preview := ArchivePreview{Violations: refused.Named}
	if preview.Paths, err = s.index.PathsNaming(ctx, id); err != nil {
		return ArchivePreview{}, err
	}
	if err := s.modulesNaming(ctx, id, &preview); err != nil {
		return ArchivePreview{}, err
	}
	paths, err := s.pathsNaming(ctx, id, &preview)
	if err != nil {
		return ArchivePreview{}, err
	}
	if item.State == StateActive {
		warnings, err := s.archiveWarnings(ctx, id, paths)
		if err != nil {
			return ArchivePreview{}, err
		}
		preview.Warnings, preview.MoreWarnings = warnings.Named, warnings.More
	}
	if len(preview.Violations) == 0 && s.impact != nil {
		preview.ModuleImpact = patiently(ctx, item.ID, item.Latest(), s.impact.ModuleArchive)
	}
	return preview, nil
}

// PreviewArchivePath returns what archiving the path would do, and writes nothing.
// Returns NotFound.
func (s *Service) PreviewArchivePath(ctx context.Context, id string) (ArchivePreview, error) {
	item, err := s.Paths.items.Get(ctx, id)
	if err != nil {
		return ArchivePreview{}, err
	}
	preview := ArchivePreview{Violations: item.archiveFaults().Named}
	if len(preview.Violations) == 0 && s.impact != nil {
		preview.PathImpact = patiently(ctx, item.ID, item.Latest(), s.impact.PathArchive)
	}
	return preview, nil
}

// archiveFaults are the violations of archiving the item.
func (i Item[C]) archiveFaults() faults {
	var f faults
	if why := i.notActive(); why != "" {
		f.addf("state", errs.ReasonNotActive, "%s", why)
	}
	return f
}

// patiently counts for at most impactPatience; nil when that fails.
func patiently[I any](ctx context.Context, id string, latest int, count func(context.Context, string, int) (I, error)) *I {
	bounded, cancel := context.WithTimeout(ctx, impactPatience)
	defer cancel()
	impact, err := count(bounded, id, latest)
	if err != nil {
		return nil
	}
	return &impact
}

// each visits every item: first those that were published, then those that have a draft, so that what has
// both comes twice.
func (c *Collection[C]) each(ctx context.Context, visit func(item Item[C], draft bool)) error {
	for _, state := range []State{"", StateDraft} {
		var after Place
		for {
			items, err := c.items.List(ctx, Filter{State: state}, page.Order{Field: OrderID}, after, page.MaxSize)
			if err != nil {
				return err
			}
			for _, item := range items {
				visit(item, state == StateDraft)
			}
			if len(items) < page.MaxSize {
				break
			}
			after.ID = items[len(items)-1].ID
		}
	}
	return nil
}

// modulesNaming notes the modules that build on one.
func (s *Service) modulesNaming(ctx context.Context, id string, preview *ArchivePreview) error {
	return s.Modules.each(ctx, func(m Module, draft bool) {
		switch {
		case m.ID == id:
		case draft && slices.Contains(m.Draft.Prerequisites, id):
			preview.DraftModules = append(preview.DraftModules, m.ID)
		case draft || m.State == StateArchived:
		default:
			if slices.Contains(m.Version.Content.Prerequisites, id) {
				preview.Prerequisite = append(preview.Prerequisite, m.ID)
			}
			if slices.ContainsFunc(m.Version.Content.Credits, func(c Credit) bool { return slices.Contains(c.ModuleIDs, id) }) {
				preview.Credits = append(preview.Credits, m.ID)
			}
		}
	})
}

// pathsNaming notes the drafts that name a module, and returns all active paths.
func (s *Service) pathsNaming(ctx context.Context, id string, preview *ArchivePreview) ([]Path, error) {
	var active []Path
	err := s.Paths.each(ctx, func(p Path, draft bool) {
		if draft && slices.Contains(p.Draft.References(), id) {
			preview.DraftPaths = append(preview.DraftPaths, p.ID)
		}
		if !draft && p.State == StateActive {
			active = append(active, p)
		}
	})
	return active, err
}

// archiveWarnings are of the paths that somebody who begins now could finish, and nobody after the archiving.
func (s *Service) archiveWarnings(ctx context.Context, id string, paths []Path) (faults, error) {
	before := newOutlook(s.library(), nil)
	from := s.library()
	from.module = func(ctx context.Context, module string) (Module, error) {
		item, err := s.Modules.items.Get(ctx, module)
		if module == id {
			item.State = StateArchived
		}
		return item, err
	}
	after := newOutlook(from, nil)
	var f faults
	for _, p := range paths {
		content := p.Version.Content
		was, err := before.obstacles(ctx, content)
		if err != nil {
			return faults{}, err
		}
		will, err := after.obstacles(ctx, content)
		if err != nil {
			return faults{}, err
		}
		for _, field := range slices.Sorted(maps.Keys(will)) {
			if _, already := was[field]; !already {
				f.addLazy("paths/"+p.ID+" "+field, errs.ReasonPathCannotBeFinished, will[field])
			}
		}
	}
	return f, nil
}

// obstacles are why nobody who begins now could finish a path, or reach one of its milestones, by the fields.
func (o *outlook) obstacles(ctx context.Context, c PathContent) (map[string]func() string, error) {
	if err := o.add(ctx, c.References()); err != nil {
		return nil, err
	}
	found := map[string]func() string{}
	for h := range o.hurdles(c) {
		found[h.field] = h.why
	}
	for i, m := range c.Milestones {
		asked := slices.ContainsFunc(m.Groups, func(g Group) bool {
			return slices.ContainsFunc(g.ModuleIDs, func(id string) bool { return o.modules[id].state != StateArchived })
		})
		if !asked {
			found[fmt.Sprintf("milestones[%d]", i)] = func() string {
				return fmt.Sprintf("milestone %q has archived modules only: who has not begun them is excused, and earns no award for it", m.ID)
			}
		}
	}
	return found, nil
}
