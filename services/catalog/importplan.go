package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

const (
	// maxDifferences is how many differences an import tells, and maxDifferencesOfOne how many
	// of one change; of a change beyond them it tells how many there are.
	maxDifferences      = 2000
	maxDifferencesOfOne = 50
)

// planned is an entry beside what the catalog has of it.
type planned[C Content[C]] struct {
	*Source[C]
	// hash is contentHash of the content.
	hash    string
	changed bool
	// latest is the number of its newest version, 0 for none.
	latest int
	// outline and gain are of a module that changed, for warnings.
	outline outline
	gain    gain
}

// plan lists the entries by id, each once.
func plan[C Content[C]](i *importing, sources []Source[C]) []planned[C] {
	all := make([]planned[C], 0, len(sources))
	first := make(map[string]*Source[C], len(sources))
	for n := range sources {
		source := &sources[n]
		if earlier, taken := first[source.ID]; taken {
			var f faults
			f.addLazy("id", errs.ReasonDuplicateID, func() string {
				at, _ := earlier.Place("id")
				return fmt.Sprintf("%q is at %s already", source.ID, at)
			})
			blame(i, source, f)
			continue
		}
		first[source.ID] = source
		all = append(all, planned[C]{Source: source})
	}
	slices.SortFunc(all, func(a, b planned[C]) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// withSources is the modules as they would be after the import.
func withSources(nodes map[string]Node, modules []planned[ModuleContent]) map[string]Node {
	nodes = maps.Clone(nodes)
	for _, m := range modules {
		if nodes[m.ID].State != StateArchived {
			nodes[m.ID] = Node{State: StateActive, Prerequisites: m.References}
		}
	}
	return nodes
}

// examine compares the entries with the catalog, one after another, and finds the violations of
// publishing those that changed, and of any whose item is archived. What is as published was
// judged then.
func examine[C Content[C]](ctx context.Context, i *importing, c *Collection[C], entries []planned[C], g *graph) error {
	for n := range entries {
		e := &entries[n]
		item, content, err := e.meet(ctx, c.items.Get)
		if err != nil {
			return err
		}
		if e.hash, err = contentHash(content); err != nil {
			return err
		}
		e.latest = item.Latest()
		e.changed = item.Version == nil || item.Version.ContentHash != e.hash
		var f faults
		if item.State == StateArchived {
			f.addf("id", errs.ReasonArchived, "%q is archived; restore it, then import", e.ID)
		}
		if e.changed {
			f.add(faultsOf(i, c, e, content, g))
		}
		blame(i, e.Source, f)
		if err := note(i, c, e, item, content); err != nil {
			return err
		}
	}
	return nil
}

// faultsOf are the violations of publishing what changed.
func faultsOf[C Content[C]](i *importing, c *Collection[C], e *planned[C], content C, g *graph) faults {
	var f faults
	f.slug("id", e.ID)
	f.add(content.shape())
	f.add(content.check(e.ID, g))
	if c.kind == KindModule {
		f.add(e.publication().check(e.latest, i.now))
	}
	return f
}

// publication returns what the file says of the version. It means nothing for a first
// version, and a file still has what was said of an earlier one.
func (p planned[C]) publication() Publication {
	if p.latest == 0 {
		return Publication{}
	}
	return p.Publication
}

// blame notes violations with their places, unless the text there is faulty itself. What refers
// to a part of a file that cannot be read is no violation.
func blame[C Content[C]](i *importing, source *Source[C], f faults) {
	list := (*errs.List)(&i.found)
	for _, v := range f.Named {
		if !i.readable && v.Reason == errs.ReasonUnknownModule {
			continue
		}
		if list.Full() && !source.Faulty { // it is only counted
			list.More++
			continue
		}
		where, faulty := source.Place(v.Field)
		if faulty {
			continue
		}
		v.Field = where
		list.Add(v)
	}
	list.More += f.More
}

// note adds an entry to what the import does.
func note[C Content[C]](i *importing, c *Collection[C], e *planned[C], item Item[C], content C) error {
	if !e.changed {
		i.done.Unchanged++
		return nil
	}
	if module, ok := any(content).(ModuleContent); ok {
		e.outline = module.outline()
		if before, ok := any(item).(Module); ok {
			e.gain = gainOf(before, module)
		}
	}
	if i.faulty.len()+i.found.len() > 0 {
		return nil // nobody asks for it
	}
	lines, err := differences(item.Version, content)
	if err != nil {
		return err
	}
	i.done.Changes = append(i.done.Changes, ImportedChange{
		Kind: c.kind, ID: e.ID, Version: e.latest + 1, ChangeClass: e.publication().ChangeClass, Differences: i.tell(lines),
	})
	return nil
}

// tell is the differences of one change as far as they are told.
func (i *importing) tell(lines []string) []string {
	told := min(len(lines), maxDifferencesOfOne, max(i.lines, 0))
	if told == len(lines) || len(lines) == 1 {
		i.lines -= len(lines)
		return lines
	}
	i.lines -= told
	return append(slices.Clone(lines[:told]), fmt.Sprintf("… %d more", len(lines)-told))
}

// warn notes the warnings of publishing what changed, all of it together.
func (i *importing) warn(ctx context.Context) error {
	drafts := make(map[string]outline, len(i.modules))
	var ids []string
	for _, m := range i.modules {
		if m.changed {
			drafts[m.ID] = m.outline
			ids = append(ids, m.ID)
		}
	}
	replaced := map[string]bool{}
	for _, p := range i.paths {
		replaced[p.ID] = p.changed
	}
	o := newOutlook(i.service.library(), drafts)
	if err := o.add(ctx, ids); err != nil {
		return err
	}
	err := eachChanged(i, i.modules, func(m planned[ModuleContent]) (faults, error) {
		return o.ofModule(ctx, m.gain, func(path string) bool { return replaced[path] })
	})
	if err != nil {
		return err
	}
	return eachChanged(i, i.paths, func(p planned[PathContent]) (faults, error) {
		content, err := p.Content()
		if err != nil {
			return faults{}, err
		}
		return o.ofPath(ctx, content)
	})
}

// eachChanged notes what warn finds of each entry that changed, at its place in the files.
func eachChanged[C Content[C]](i *importing, entries []planned[C], warn func(planned[C]) (faults, error)) error {
	warnings := errs.List{Named: i.done.Warnings, More: i.done.MoreWarnings}
	for _, e := range entries {
		if !e.changed {
			continue
		}
		found, err := warn(e)
		if err != nil {
			return err
		}
		for _, v := range found.Named {
			if !warnings.Full() {
				v.Field, _ = e.Place(v.Field)
			}
			warnings.Add(v)
		}
		warnings.More += found.More
	}
	i.done.Warnings, i.done.MoreWarnings = warnings.Named, warnings.More
	return nil
}

// meet returns the item that an entry is for, a new one where there is none, and what the entry would make of it.
func (p *planned[C]) meet(ctx context.Context, get func(context.Context, string) (Item[C], error)) (item Item[C], content C, err error) {
	item, err = get(ctx, p.ID)
	if errs.KindOf(err) == errs.NotFound {
		item, err = Item[C]{ID: p.ID}, nil
	}
	if err == nil {
		content, err = p.Content()
	}
	return item, content, err
}

// carryOut publishes what changed. The catalog's revision is as when it was judged, but drafts
// may have been edited since, so that the items are read again.
func carryOut[C Content[C]](ctx context.Context, i *importing, tx Tx, c *Collection[C], entries []planned[C]) error {
	for _, e := range entries {
		if !e.changed {
			continue
		}
		item, content, err := e.meet(ctx, c.in(tx).Get)
		if err != nil {
			return err
		}
		item, err = c.publish(ctx, tx, item, edition[C]{content, e.publication(), i.now, i.opts.Actor, e.hash})
		if err != nil {
			return err
		}
		i.done.Revision = item.Revision
	}
	return nil
}
