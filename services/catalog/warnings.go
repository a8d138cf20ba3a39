package catalog

import (
	"context"
	"fmt"
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
	drafts  map[string]ModuleContent
	modules map[string]*prospect
}

// prospect is whether a learner who begins a module could complete it.
type prospect struct {
	// state is DRAFT too for what does not exist: both are violations where they matter,
	// so that no warning is given of them.
	state State
	// content is that of an ACTIVE module.
	content ModuleContent
	// learned is whether its own units can be completed; credited whether it can be had,
	// so or by an equivalence.
	learned, credited bool
}

func newOutlook(from library, drafts map[string]ModuleContent) *outlook {
	return &outlook{library: from, drafts: drafts, modules: map[string]*prospect{}}
}

// add reads the modules and all that they build on.
func (o *outlook) add(ctx context.Context, ids []string) error {
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
		queue = append(queue, m.content.Prerequisites...)
		for _, credit := range m.content.Credits {
			queue = append(queue, credit.ModuleIDs...)
		}
	}
	for more := true; more; {
		more = o.judge()
	}
	return nil
}

func (o *outlook) read(ctx context.Context, id string) (*prospect, error) {
	if draft, planned := o.drafts[id]; planned {
		return &prospect{state: StateActive, content: draft}, nil
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
	return &prospect{state: StateActive, content: item.Version.Content}, nil
}

// judge finds modules that can be completed because of what is known of others, and reports
// whether it found any. What can never be shown stays out: a circle of prerequisites.
func (o *outlook) judge() (found bool) {
	for _, m := range o.modules {
		if m.state != StateActive || m.learned && m.credited {
			continue
		}
		learned := m.learned || m.content.obstacle() == "" && !slices.ContainsFunc(m.content.Prerequisites, o.blocks)
		credited := m.credited || learned || slices.ContainsFunc(m.content.Credits, o.credits)
		found = found || learned != m.learned || credited != m.credited
		m.learned, m.credited = learned, credited
	}
	return found
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
	for last := id; ; {
		content := o.modules[last].content
		if what := content.obstacle(); what != "" {
			if len(way) == 1 {
				return fmt.Sprintf("nobody can complete %q: %s; publish a version of it that can be completed", id, what)
			}
			return fmt.Sprintf("nobody can begin %q: its prerequisites %s lead to %q, which nobody can complete: %s; publish a version of that which can be completed",
				id, strings.Join(way, " → "), last, what)
		}
		last = content.Prerequisites[slices.IndexFunc(content.Prerequisites, o.blocks)]
		again := slices.Contains(way, last)
		way = append(way, last)
		if again {
			return fmt.Sprintf("nobody can begin %q: its prerequisites run in a circle: %s", id, strings.Join(way, " → "))
		}
	}
}

// outside reports whether a prerequisite must be learned beside the modules of a path.
func (o *outlook) outside(prerequisite string, modules []string) bool {
	return o.modules[prerequisite].state == StateActive && !slices.Contains(modules, prerequisite)
}

// hurdle is what nobody who begins now could get past in a path.
type hurdle struct {
	field string
	// modules are those that nobody can complete.
	modules []string
	why     string
}

func (o *outlook) hurdles(c PathContent) []hurdle {
	var all []hurdle
	for i, m := range c.Milestones {
		for j, g := range m.Groups {
			all = append(all, o.hurdlesIn(g, fmt.Sprintf("milestones[%d].groups[%d]", i, j))...)
		}
	}
	return all
}

// hurdlesIn are one for each module of a group of all, and at most one for a choice.
// Learners are excused from archived modules in both.
func (o *outlook) hurdlesIn(g Group, at string) []hurdle {
	var all []hurdle
	left := 0
	for i, id := range g.ModuleIDs {
		if slices.Index(g.ModuleIDs, id) < i || o.modules[id].state == StateArchived {
			continue
		}
		left++
		if o.blocks(id) {
			all = append(all, hurdle{fmt.Sprintf("%s.moduleIds[%d]", at, i), []string{id}, o.why(id)})
		}
	}
	if g.RequiredCount == nil {
		return all
	}
	required, possible := min(*g.RequiredCount, left), left-len(all)
	if possible >= required {
		return nil
	}
	choice := hurdle{field: at + ".requiredCount"}
	reasons := make([]string, len(all))
	for i, h := range all {
		choice.modules = append(choice.modules, h.modules...)
		reasons[i] = h.why
	}
	choice.why = fmt.Sprintf("asks for %d of %d modules, of which %d can be completed: %s", required, left, possible, strings.Join(reasons, "; "))
	return []hurdle{choice}
}

// ofPath warns of what would surprise the learners of a path with this content.
func (o *outlook) ofPath(ctx context.Context, c PathContent) ([]errs.Violation, error) {
	modules := c.References()
	if err := o.add(ctx, modules); err != nil {
		return nil, err
	}
	var f faults
	for _, id := range modules {
		for _, p := range o.modules[id].content.References() {
			if o.outside(p, modules) {
				f.addf(c.place(id), errs.ReasonPrerequisiteOutsidePath,
					"%q has the prerequisite %q, which is not in the path: learners are shown %q first", id, p, p)
			}
		}
	}
	for _, h := range o.hurdles(c) {
		f.addf(h.field, errs.ReasonPathCannotBeFinished, "%s", h.why)
	}
	return f, nil
}

// place is the first field that names the module.
func (c PathContent) place(module string) string {
	for i, m := range c.Milestones {
		for j, g := range m.Groups {
			if k := slices.Index(g.ModuleIDs, module); k >= 0 {
				return fmt.Sprintf("milestones[%d].groups[%d].moduleIds[%d]", i, j, k)
			}
		}
	}
	return "milestones"
}

// ofModule warns of what the prerequisites that the content adds to the module would do in
// the active paths that name it, but for the paths that are left out.
func (o *outlook) ofModule(ctx context.Context, item Module, content ModuleContent, leftOut func(path string) bool) ([]errs.Violation, error) {
	if item.Version == nil { // no path can name it
		return nil, nil
	}
	added := without(content.References(), item.Version.Content.Prerequisites)
	if len(added) == 0 {
		return nil, nil
	}
	if err := o.add(ctx, append(added, item.ID)); err != nil {
		return nil, err
	}
	paths, err := o.library.naming(ctx, item.ID)
	if err != nil {
		return nil, err
	}
	var f faults
	for _, id := range slices.DeleteFunc(paths, leftOut) {
		path, err := o.library.path(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := o.add(ctx, path.Version.Content.References()); err != nil {
			return nil, err
		}
		for _, prerequisite := range added {
			at := fmt.Sprintf("prerequisites[%d]", slices.Index(content.Prerequisites, prerequisite))
			o.gains(&f, at, path, item.ID, prerequisite)
		}
	}
	return f, nil
}

// gains warns of what one more prerequisite of a module does in a path that names it.
func (o *outlook) gains(f *faults, at string, path Path, module, prerequisite string) {
	content := path.Version.Content
	if o.outside(prerequisite, content.References()) {
		f.addf(at, errs.ReasonPrerequisiteOutsidePath,
			"path %q has %q and not its new prerequisite %q: learners are shown %q first", path.ID, module, prerequisite, prerequisite)
	}
	hinders := func(h hurdle) bool { return slices.Contains(h.modules, module) }
	if o.blocks(prerequisite) && slices.ContainsFunc(o.hurdles(content), hinders) {
		f.addf(at, errs.ReasonPathCannotBeFinished,
			"nobody who has not begun %q could finish path %q: %s", module, path.ID, o.why(prerequisite))
	}
}

func (s *Service) library() library {
	return library{module: s.Modules.items.Get, path: s.Paths.items.Get, naming: s.index.PathsNaming}
}

// moduleWarnings are those of publishing the module's draft.
func (s *Service) moduleWarnings(ctx context.Context, item Module) ([]errs.Violation, error) {
	content := item.editable()
	o := newOutlook(s.library(), map[string]ModuleContent{item.ID: content})
	return o.ofModule(ctx, item, content, func(string) bool { return false })
}

// pathWarnings are those of publishing the path's draft; without one, of its newest version.
func (s *Service) pathWarnings(ctx context.Context, item Path) ([]errs.Violation, error) {
	return newOutlook(s.library(), nil).ofPath(ctx, item.editable())
}

// warn notes the warnings of publishing what changed, all of it together.
func (i *importing) warn(ctx context.Context, modules []planned[ModuleContent], paths []planned[PathContent]) error {
	drafts := make(map[string]ModuleContent, len(modules))
	for _, m := range modules {
		if m.changed {
			drafts[m.ID] = m.Content
		}
	}
	o := newOutlook(library{module: i.tx.Modules().Get, path: i.tx.Paths().Get, naming: i.tx.PathsNaming}, drafts)
	replaced := func(path string) bool {
		return slices.ContainsFunc(paths, func(p planned[PathContent]) bool { return p.changed && p.ID == path })
	}
	err := eachChanged(i, modules, func(m planned[ModuleContent]) ([]errs.Violation, error) {
		return o.ofModule(ctx, m.item, m.Content, replaced)
	})
	if err != nil {
		return err
	}
	return eachChanged(i, paths, func(p planned[PathContent]) ([]errs.Violation, error) { return o.ofPath(ctx, p.Content) })
}

// eachChanged notes what warn finds of each entry that changed, at its place in the files.
func eachChanged[C Content[C]](i *importing, entries []planned[C], warn func(planned[C]) ([]errs.Violation, error)) error {
	for _, e := range entries {
		if !e.changed {
			continue
		}
		found, err := warn(e)
		if err != nil {
			return err
		}
		for _, v := range found {
			v.Field, _ = e.Place(v.Field)
			i.done.Warnings = append(i.done.Warnings, v)
		}
	}
	return nil
}
