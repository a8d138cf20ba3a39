package catalog

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// library reads what warnings depend on, in an edit or outside of one.
type library struct {
	module func(ctx context.Context, id string) (Module, error)
	path   func(ctx context.Context, id string) (Path, error)
	// naming is Index.PathsNaming.
	naming func(ctx context.Context, moduleID string) ([]string, error)
}

// outlook is what learners who begin now could complete, with drafts as if they were
// published. Modules must be added before they are asked about.
type outlook struct {
	library library
	drafts  map[string]outline
	modules map[string]*prospect
	// dependents are the modules that build on one, or may be had by it.
	dependents map[string][]string
	// ends are of modules that nobody can begin, by end.
	ends map[string]string
	// paths are some that were read.
	paths map[string]placed
}

// mostPaths is how many paths an outlook keeps.
const mostPaths = 16

// outline is what of a module's content its prospect depends on.
type outline struct {
	prerequisites []string
	credits       []Credit
	// obstacle is ModuleContent.obstacle.
	obstacle string
}

func (c ModuleContent) outline() outline {
	return outline{prerequisites: c.References(), credits: c.Credits, obstacle: c.obstacle()}
}

// prospect is whether a learner who begins a module could complete it.
type prospect struct {
	// state is DRAFT too for what does not exist: both are violations where they matter,
	// so that no warning is given of them.
	state State
	// outline is that of an ACTIVE module.
	outline
	// learned is whether its own units can be completed; credited whether it can be had,
	// so or by an equivalence.
	learned, credited bool
}

func newOutlook(from library, drafts map[string]outline) *outlook {
	return &outlook{
		library: from, drafts: drafts, modules: map[string]*prospect{}, dependents: map[string][]string{},
		ends: map[string]string{}, paths: map[string]placed{},
	}
}

// add reads the modules and all that they build on.
func (o *outlook) add(ctx context.Context, ids []string) error {
	var fresh []string
	for queue := slices.Clone(ids); len(queue) > 0; queue = queue[1:] {
		id := queue[0]
		if o.modules[id] != nil {
			continue
		}
		m, err := o.read(ctx, id)
		if err != nil {
			return err
		}
		o.modules[id] = m
		fresh = append(fresh, id)
		for _, other := range m.needs() {
			o.dependents[other] = append(o.dependents[other], id)
			queue = append(queue, other)
		}
	}
	o.judge(fresh)
	return nil
}

// needs are the modules that one builds on, or may be had by.
func (m outline) needs() []string {
	ids := slices.Clone(m.prerequisites)
	for _, credit := range m.credits {
		ids = append(ids, credit.ModuleIDs...)
	}
	return distinct(ids)
}

func (o *outlook) read(ctx context.Context, id string) (*prospect, error) {
	if draft, planned := o.drafts[id]; planned {
		return &prospect{state: StateActive, outline: draft}, nil
	}
	item, err := o.library.module(ctx, id)
	switch {
	case errs.KindOf(err) == errs.NotFound, err == nil && item.State == StateDraft:
		return &prospect{state: StateDraft, learned: true, credited: true}, nil
	case err != nil:
		return nil, err
	case item.State == StateArchived:
		return &prospect{state: StateArchived}, nil
	}
	return &prospect{state: StateActive, outline: item.Version.Content.outline()}, nil
}

// judge finds which of the modules can be completed, and what can be because of them. What can
// never be shown stays out: a circle of prerequisites.
func (o *outlook) judge(queue []string) {
	for ; len(queue) > 0; queue = queue[1:] {
		id := queue[0]
		m := o.modules[id]
		if m.state != StateActive || m.learned && m.credited {
			continue
		}
		learned := m.learned || m.obstacle == "" && !slices.ContainsFunc(m.prerequisites, o.blocks)
		credited := m.credited || learned || slices.ContainsFunc(m.credits, o.credits)
		if learned != m.learned || credited != m.credited {
			m.learned, m.credited = learned, credited
			queue = append(queue, o.dependents[id]...)
		}
	}
}

// blocks reports whether nobody who begins now could get past a prerequisite. Learners are
// excused from an archived one.
func (o *outlook) blocks(id string) bool {
	m := o.modules[id]
	return m.state != StateArchived && !m.credited
}

// credits reports whether an equivalence can be had; it wants its modules learned, and
// nobody begins an archived one.
func (o *outlook) credits(c Credit) bool {
	return len(c.ModuleIDs) > 0 && !slices.ContainsFunc(c.ModuleIDs, func(id string) bool { return !o.modules[id].learned })
}

// obstacle is why nobody could complete a version with this content; "" when somebody
// could. Publishing refuses such a one today, and did not always.
func (c ModuleContent) obstacle() string {
	required := false
	for _, written := range c.Units {
		u := written.resolved()
		if *u.Required && u.MoveOn == MoveOnNotApplicable {
			return fmt.Sprintf("its required unit %q has moveOn NOT_APPLICABLE", u.ID)
		}
		required = required || *u.Required
	}
	if !required {
		return "it has no required unit"
	}
	return ""
}

// why is what keeps everybody from completing a module that blocks.
func (o *outlook) why(id string) string {
	way := []string{id}
	last := id
	for range mostSpelled {
		if what := o.modules[last].obstacle; what != "" {
			if len(way) == 1 {
				return fmt.Sprintf("nobody can complete %q: %s; publish a version of it that can be completed", id, what)
			}
			return o.leadsTo(way, last)
		}
		last = o.blocking(last)
		again := slices.Contains(way, last)
		way = append(way, last)
		if again {
			return fmt.Sprintf("nobody can begin %q: its prerequisites run in a circle: %s", id, strings.Join(way, " → "))
		}
	}
	if end := o.end(last); end != "" {
		return o.leadsTo(append(way, "…", end), end)
	}
	return fmt.Sprintf("nobody can begin %q: its prerequisites run in a circle: %s → …", id, strings.Join(way, " → "))
}

func (o *outlook) leadsTo(way []string, last string) string {
	return fmt.Sprintf("nobody can begin %q: its prerequisites %s lead to %q, which nobody can complete: %s; publish a version of that which can be completed",
		way[0], strings.Join(way, " → "), last, o.modules[last].obstacle)
}

// blocking is the first prerequisite of a module that blocks.
func (o *outlook) blocking(id string) string {
	prerequisites := o.modules[id].prerequisites
	return prerequisites[slices.IndexFunc(prerequisites, o.blocks)]
}

// end is the module with an obstacle that a way of prerequisites that block ends at; "" for one
// that goes round.
func (o *outlook) end(id string) string {
	var way []string
	seen := map[string]bool{}
	end := ""
	for last := id; !seen[last]; last = o.blocking(last) {
		if known, ok := o.ends[last]; ok {
			end = known
			break
		}
		seen[last] = true
		way = append(way, last)
		if o.modules[last].obstacle != "" {
			end = last
			break
		}
	}
	for _, passed := range way {
		o.ends[passed] = end
	}
	return end
}

// outside reports whether a prerequisite must be learned beside the modules of a path.
func (o *outlook) outside(prerequisite string, modules map[string]string) bool {
	_, inside := modules[prerequisite]
	return o.modules[prerequisite].state == StateActive && !inside
}

// hurdle is what nobody who begins now could get past in a path.
type hurdle struct {
	field string
	// modules are those that nobody can complete.
	modules []string
	why     func() string
}

// hurdles goes over those of a path.
func (o *outlook) hurdles(c PathContent) iter.Seq[hurdle] {
	return func(yield func(hurdle) bool) {
		for i, m := range c.Milestones {
			for j, g := range m.Groups {
				for _, h := range o.hurdlesIn(g, fmt.Sprintf("milestones[%d].groups[%d]", i, j)) {
					if !yield(h) {
						return
					}
				}
			}
		}
	}
}

// hurdlesIn are one for each module of a group of all, and at most one for a choice.
// Learners are excused from archived modules in both.
func (o *outlook) hurdlesIn(g Group, at string) []hurdle {
	var all []hurdle
	var blocked []string
	left := 0
	seen := make(map[string]bool, len(g.ModuleIDs))
	for i, id := range g.ModuleIDs {
		if seen[id] || o.modules[id].state == StateArchived {
			continue
		}
		seen[id] = true
		left++
		if o.blocks(id) {
			blocked = append(blocked, id)
			all = append(all, hurdle{fmt.Sprintf("%s.moduleIds[%d]", at, i), []string{id}, func() string { return o.why(id) }})
		}
	}
	if g.RequiredCount == nil {
		return all
	}
	required, possible := min(*g.RequiredCount, left), left-len(all)
	if possible >= required {
		return nil
	}
	return []hurdle{{at + ".requiredCount", blocked, func() string {
		return fmt.Sprintf("asks for %d of %d modules, of which %d can be completed: %s", required, left, possible, o.reasons(blocked))
	}}}
}

// reasons are why nobody can complete some modules; of many the first.
func (o *outlook) reasons(ids []string) string {
	var reasons []string
	for _, id := range ids[:min(len(ids), mostSpelled)] {
		reasons = append(reasons, o.why(id))
	}
	if more := len(ids) - len(reasons); more > 0 {
		reasons = append(reasons, fmt.Sprintf("… %d more", more))
	}
	return strings.Join(reasons, "; ")
}

// ofPath warns of what would surprise the learners of a path with this content.
func (o *outlook) ofPath(ctx context.Context, c PathContent) (faults, error) {
	modules := c.References()
	if err := o.add(ctx, modules); err != nil {
		return faults{}, err
	}
	var f faults
	places := c.places()
	for _, id := range modules {
		for _, p := range o.modules[id].prerequisites {
			if o.outside(p, places) {
				f.addf(places[id], errs.ReasonPrerequisiteOutsidePath,
					"%q has the prerequisite %q, which is not in the path: learners are shown %q first", id, p, p)
			}
		}
	}
	for h := range o.hurdles(c) {
		f.addLazy(h.field, errs.ReasonPathCannotBeFinished, h.why)
	}
	return f, nil
}

// places are the modules that a path names, each with the first field that does.
func (c PathContent) places() map[string]string {
	places := map[string]string{}
	for i, m := range c.Milestones {
		for j, g := range m.Groups {
			for k, id := range g.ModuleIDs {
				if _, earlier := places[id]; !earlier {
					places[id] = fmt.Sprintf("milestones[%d].groups[%d].moduleIds[%d]", i, j, k)
				}
			}
		}
	}
	return places
}

// gain is what publishing adds to a module's prerequisites.
type gain struct {
	module string
	// prerequisites are the new ones as they are written; added those that the newest version has not.
	prerequisites, added []string
}

// gainOf is nothing for a first version: no path can name the module.
func gainOf(item Module, content ModuleContent) gain {
	if item.Version == nil {
		return gain{}
	}
	return gain{item.ID, content.Prerequisites, without(content.References(), item.Version.Content.Prerequisites)}
}

// ofModule warns of what the prerequisites that are added to a module would do in the active
// paths that name it, but for the paths that are left out.
func (o *outlook) ofModule(ctx context.Context, g gain, leftOut func(path string) bool) (faults, error) {
	if len(g.added) == 0 {
		return faults{}, nil
	}
	if err := o.add(ctx, append(slices.Clone(g.added), g.module)); err != nil {
		return faults{}, err
	}
	paths, err := o.library.naming(ctx, g.module)
	if err != nil {
		return faults{}, err
	}
	var f faults
	for _, id := range slices.DeleteFunc(paths, leftOut) {
		path, err := o.path(ctx, id)
		if err != nil {
			return faults{}, err
		}
		for _, prerequisite := range g.added {
			at := fmt.Sprintf("prerequisites[%d]", slices.Index(g.prerequisites, prerequisite))
			if o.outside(prerequisite, path.at) {
				f.addf(at, errs.ReasonPrerequisiteOutsidePath,
					"path %q has %q and not its new prerequisite %q: learners are shown %q first", id, g.module, prerequisite, prerequisite)
			}
			if o.blocks(prerequisite) && o.hinders(path.PathContent, g.module) {
				f.addLazy(at, errs.ReasonPathCannotBeFinished, func() string {
					return fmt.Sprintf("nobody who has not begun %q could finish path %q: %s", g.module, id, o.why(prerequisite))
				})
			}
		}
	}
	return f, nil
}

// placed is a path's content, with its places.
type placed struct {
	PathContent
	at map[string]string
}

// path reads a path and adds its modules.
func (o *outlook) path(ctx context.Context, id string) (placed, error) {
	if known, ok := o.paths[id]; ok {
		return known, nil
	}
	item, err := o.library.path(ctx, id)
	if err != nil {
		return placed{}, err
	}
	if len(o.paths) >= mostPaths {
		clear(o.paths)
	}
	path := placed{item.Version.Content, item.Version.Content.places()}
	o.paths[id] = path
	return path, o.add(ctx, path.References())
}

// hinders reports whether a module is part of a hurdle in a path.
func (o *outlook) hinders(c PathContent, module string) bool {
	for h := range o.hurdles(c) {
		if slices.Contains(h.modules, module) {
			return true
		}
	}
	return false
}

func (s *Service) library() library {
	return library{module: s.Modules.items.Get, path: s.Paths.items.Get, naming: s.index.PathsNaming}
}

// moduleWarnings are those of publishing the module's draft.
func (s *Service) moduleWarnings(ctx context.Context, item Module) (faults, error) {
	content := item.editable()
	o := newOutlook(s.library(), map[string]outline{item.ID: content.outline()})
	return o.ofModule(ctx, gainOf(item, content), func(string) bool { return false })
}

// pathWarnings are those of publishing the path's draft; without one, of its newest version.
func (s *Service) pathWarnings(ctx context.Context, item Path) (faults, error) {
	return newOutlook(s.library(), nil).ofPath(ctx, item.editable())
}
