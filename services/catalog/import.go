package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// MaxImport is how many bytes the files of one import may have together.
const MaxImport = 16 << 20

// Documents reads and writes the catalog as code.
type Documents interface {
	// Read returns all that the files hold, and a violation for each fault of their
	// text, whose fields begin with file, line and column: "hipaa.yaml:12:5 modules[0].title".
	// Readable is false when a part of a file could not be read at all, so that what
	// refers to it cannot be judged.
	Read(files []File) (doc Document, violations []errs.Violation, readable bool)

	// Write returns the document as one text, the same each time.
	Write(doc Document, format Format) ([]byte, error)
}

// Format is how a document is written.
type Format string

// The formats.
const (
	FormatYAML Format = "YAML"
	FormatJSON Format = "JSON"
)

// File is a text with a name for messages.
type File struct{ Name, Content string }

// Document is a catalog as code.
type Document struct {
	Modules []Entry[ModuleContent]
	Paths   []Entry[PathContent]
}

// Entry is a module or path as a file has it.
type Entry[C Content[C]] struct {
	ID      string
	Content C
	// Publication only means something where the content differs from the newest version.
	Publication Publication
	// Place returns where the file has a field, or would have it:
	// "hipaa.yaml:12:5 modules[0].units[2].moveOn"; and whether its text there was found
	// faulty, so that nothing more need be said of it. Nil in what is to be written.
	Place func(field string) (place string, faulty bool)
}

// ImportedChange is one thing that an import changed, or would change.
type ImportedChange struct {
	Kind    Kind
	ID      string
	Version int
	// ChangeClass is "" for a first version and for paths.
	ChangeClass ChangeClass
	// Differences are lines for a person to read.
	Differences []string
}

// Imported is what an import did, or would do.
type Imported struct {
	// Revision is the catalog's after it.
	Revision int64
	// Changes are modules, then paths, by id.
	Changes   []ImportedChange
	Unchanged int
	// Warnings are those of a Preview of each change, the others of the import included.
	// Their fields begin with a place in the files.
	Warnings []errs.Violation
}

// ImportOptions say how to import.
type ImportOptions struct {
	// DryRun reports what would change, and changes nothing.
	DryRun bool
	// OnlyIfEmpty does nothing when anything was ever published.
	OnlyIfEmpty bool
	// Actor is the subject that imports.
	Actor string
}

// Import publishes, in one transaction, each module and path of the files that is new
// or differs from its newest version. What the files do not name stays as it is, and
// so do drafts. Modules may build on others of the same import in any order.
//
// Returns Invalid with every violation, each with its place in the files; and
// ResourceExhausted BODY_TOO_LARGE above MaxImport.
func (s *Service) Import(ctx context.Context, files []File, opts ImportOptions) (Imported, error) {
	size := 0
	for _, f := range files {
		size += len(f.Content)
	}
	if size > MaxImport {
		return Imported{}, errs.New(errs.ResourceExhausted, errs.ReasonBodyTooLarge, "the files have %d bytes, more than %d", size, MaxImport)
	}
	doc, violations, readable := s.documents.Read(files)
	violations = append(duplicateFiles(files), violations...)
	now := s.micros()
	var done Imported
	err := s.editor.Edit(ctx, func(ctx context.Context, tx Tx) error {
		i := &importing{service: s, tx: tx, opts: opts, now: now, faulty: violations}
		var err error
		done, err = i.run(ctx, doc, readable)
		return err
	})
	return done, err
}

func duplicateFiles(files []File) []errs.Violation {
	var f faults
	seen := map[string]bool{}
	for _, file := range files {
		if seen[file.Name] {
			f.addf(file.Name, errs.ReasonDuplicateFile, "two files have this name")
		}
		seen[file.Name] = true
	}
	return f
}

// importing is one import inside of its transaction.
type importing struct {
	service *Service
	tx      Tx
	opts    ImportOptions
	now     time.Time
	// faulty are the violations of the files' text; found those of its meaning.
	faulty, found []errs.Violation
	done          Imported
}

func (i *importing) run(ctx context.Context, doc Document, readable bool) (Imported, error) {
	revision, err := i.tx.Revision(ctx)
	if err != nil || i.opts.OnlyIfEmpty && revision > 0 {
		return Imported{Revision: revision}, err
	}
	i.done.Revision = revision
	modules, err := plan(ctx, i, i.service.Modules, doc.Modules)
	if err != nil {
		return Imported{}, err
	}
	paths, err := plan(ctx, i, i.service.Paths, doc.Paths)
	if err != nil {
		return Imported{}, err
	}
	nodes, err := i.tx.Nodes(ctx)
	if err != nil {
		return Imported{}, err
	}
	g := newGraph(withEntries(nodes, modules))
	judge(i, i.service.Modules, modules, g, readable)
	judge(i, i.service.Paths, paths, g, readable)
	if all := slices.Concat(i.faulty, i.found); len(all) > 0 {
		return Imported{}, errs.InvalidFields(all)
	}
	if err := i.warn(ctx, modules, paths); err != nil {
		return Imported{}, err
	}
	if err := carryOut(ctx, i, i.service.Modules, modules); err != nil {
		return Imported{}, err
	}
	err = carryOut(ctx, i, i.service.Paths, paths)
	return i.done, err
}

// planned is an entry beside what the catalog has of it.
type planned[C Content[C]] struct {
	Entry[C]
	item    Item[C]
	changed bool
}

// plan compares the entries, by id, with the catalog.
func plan[C Content[C]](ctx context.Context, i *importing, c *Collection[C], entries []Entry[C]) ([]planned[C], error) {
	var all []planned[C]
	first := make(map[string]Entry[C], len(entries))
	for _, e := range entries {
		if earlier, taken := first[e.ID]; taken {
			at, _ := earlier.Place("id")
			i.fault(e.Place, errs.Violation{
				Field: "id", Reason: errs.ReasonDuplicateID, Description: fmt.Sprintf("%q is at %s already", e.ID, at),
			})
			continue
		}
		first[e.ID] = e
		item, err := c.in(i.tx).Get(ctx, e.ID)
		if errs.KindOf(err) == errs.NotFound {
			item, err = Item[C]{ID: e.ID}, nil
		}
		if err != nil {
			return nil, err
		}
		hash, err := contentHash(e.Content)
		if err != nil {
			return nil, err
		}
		all = append(all, planned[C]{Entry: e, item: item, changed: item.Version == nil || item.Version.ContentHash != hash})
	}
	slices.SortFunc(all, func(a, b planned[C]) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// withEntries is the modules as they would be after the import.
func withEntries(nodes map[string]Node, modules []planned[ModuleContent]) map[string]Node {
	nodes = maps.Clone(nodes)
	for _, m := range modules {
		if m.item.State != StateArchived {
			nodes[m.ID] = Node{State: StateActive, Prerequisites: m.Content.References()}
		}
	}
	return nodes
}

// judge finds the violations of publishing the entries that changed, and of any entry
// whose item is archived. What is as published was judged then.
func judge[C Content[C]](i *importing, c *Collection[C], entries []planned[C], g *graph, readable bool) {
	for _, e := range entries {
		var f faults
		if e.item.State == StateArchived {
			f.addf("id", errs.ReasonArchived, "%q is archived; restore it, then import", e.ID)
		}
		if e.changed {
			f.slug("id", e.ID)
			f = append(f, e.Content.shape()...)
			f = append(f, e.Content.check(e.ID, g)...)
			if c.kind == KindModule {
				f = append(f, e.publication().check(e.item.Latest(), i.now)...)
			}
		}
		for _, v := range f {
			if readable || v.Reason != errs.ReasonUnknownModule {
				i.fault(e.Place, v)
			}
		}
	}
}

// publication returns what the file says of the version. It means nothing for a first
// version, and a file still has what was said of an earlier one.
func (p planned[C]) publication() Publication {
	if p.item.Version == nil {
		return Publication{}
	}
	return p.Publication
}

// fault notes a violation with its place, unless the text there is faulty itself.
func (i *importing) fault(place func(string) (string, bool), v errs.Violation) {
	where, faulty := place(v.Field)
	if faulty {
		return
	}
	v.Field = where
	i.found = append(i.found, v)
}

// carryOut publishes what changed, or only reports it.
func carryOut[C Content[C]](ctx context.Context, i *importing, c *Collection[C], entries []planned[C]) error {
	for _, e := range entries {
		if !e.changed {
			i.done.Unchanged++
			continue
		}
		change := ImportedChange{Kind: c.kind, ID: e.ID, Version: e.item.Latest() + 1, ChangeClass: e.publication().ChangeClass}
		var err error
		if change.Differences, err = differences(e.item.Version, e.Content); err != nil {
			return err
		}
		i.done.Changes = append(i.done.Changes, change)
		if i.opts.DryRun {
			continue
		}
		item, err := c.publish(ctx, i.tx, e.item, edition[C]{e.Content, e.publication(), i.now, i.opts.Actor})
		if err != nil {
			return err
		}
		i.done.Revision = item.Revision
	}
	return nil
}
