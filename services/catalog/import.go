package catalog

import (
	"context"
	"encoding/json"
	"slices"
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
	// Of files that exceed a limit of an import it returns one more violation, TOO_DEEP_OR_LARGE
	// with the limit, and nothing of what they hold.
	Read(files []File) (sources Sources, violations errs.List, readable bool)

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

// Document is a catalog as code, to be written.
type Document struct {
	Modules []Entry[ModuleContent]
	Paths   []Entry[PathContent]
}

// Entry is a module or path of a Document.
type Entry[C Content[C]] struct {
	ID      string
	Content C
	// Publication is what the file says of the next version.
	Publication Publication
}

// Sources are the modules and paths of files.
type Sources struct {
	Modules []Source[ModuleContent]
	Paths   []Source[PathContent]
}

// Source is a module or path as a file has it. It takes little more memory than its text.
type Source[C Content[C]] struct {
	ID string
	// JSON is the content.
	JSON []byte
	// References are those of a module's content.
	References []string
	// Publication only means something where the content differs from the newest version.
	Publication Publication
	// Place returns where the file has a field, or would have it:
	// "hipaa.yaml:12:5 modules[0].units[2].moveOn"; and whether its text there was found
	// faulty, so that nothing more need be said of it. It reads the text again, and is for
	// the fields that a response names.
	Place func(field string) (place string, faulty bool)
	// Faulty is true where any text was found faulty.
	Faulty bool
}

// Content returns the content.
func (s Source[C]) Content() (C, error) {
	var content C
	err := json.Unmarshal(s.JSON, &content)
	return content, err
}

// ImportedChange is one thing that an import changed, or would change.
type ImportedChange struct {
	Kind    Kind
	ID      string
	Version int
	// ChangeClass is "" for a first version and for paths.
	ChangeClass ChangeClass
	// Differences are lines for a person to read; of many the first, and how many more there are.
	Differences []string
}

// Imported is what an import did, or would do.
type Imported struct {
	// Revision is the catalog's after it.
	Revision int64
	// Changes are modules, then paths, by id.
	Changes   []ImportedChange
	Unchanged int
	// Warnings are those of a Preview of each change, the others of the import included: the
	// first, and how many more there are. Their fields begin with a place in the files.
	Warnings     []errs.Violation
	MoreWarnings int
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
// so do drafts. Modules may build on others of the same import in any order. Its
// transaction only writes: all that can be judged was judged before, and is judged again
// where the catalog has changed since.
//
// Returns Invalid with every violation, each with its place in the files;
// ResourceExhausted BODY_TOO_LARGE above MaxImport; and Aborted DATABASE_BUSY when the catalog
// changes all the time.
func (s *Service) Import(ctx context.Context, files []File, opts ImportOptions) (Imported, error) {
	size := 0
	for _, f := range files {
		size += len(f.Content)
	}
	if size > MaxImport {
		return Imported{}, errs.New(errs.ResourceExhausted, errs.ReasonBodyTooLarge, "the files have %d bytes, more than %d", size, MaxImport)
	}
	sources, violations, readable := s.documents.Read(files)
	faulty := duplicateFiles(files)
	faulty.add(faults(violations))
	i := &importing{service: s, opts: opts, now: s.micros(), faulty: faulty, sources: sources, readable: readable}
	err := s.settled(ctx, settling{judge: i.judge, write: i.write, dryRun: opts.DryRun})
	return i.done, err
}

func duplicateFiles(files []File) faults {
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

// importing is one import.
type importing struct {
	service  *Service
	opts     ImportOptions
	now      time.Time
	sources  Sources
	readable bool
	// faulty are the violations of the files' text.
	faulty faults

	// What follows is of one attempt: found are the violations of the files' meaning.
	found   faults
	modules []planned[ModuleContent]
	paths   []planned[PathContent]
	// lines is how many more differences are told.
	lines int
	done  Imported
}

// judge finds out what the import would do, without a transaction.
func (i *importing) judge(ctx context.Context, revision int64) error {
	*i = importing{service: i.service, opts: i.opts, now: i.now, sources: i.sources, readable: i.readable, faulty: i.faulty, lines: maxDifferences}
	i.done.Revision = revision
	if i.opts.OnlyIfEmpty && revision > 0 {
		return nil
	}
	nodes, err := i.service.index.Nodes(ctx)
	if err != nil {
		return err
	}
	i.modules = plan(i, i.sources.Modules)
	i.paths = plan(i, i.sources.Paths)
	g := newGraph(withSources(nodes, i.modules))
	if err := examine(ctx, i, i.service.Modules, i.modules, g); err != nil {
		return err
	}
	if err := examine(ctx, i, i.service.Paths, i.paths, g); err != nil {
		return err
	}
	all := i.faulty
	all.Named = slices.Clone(all.Named)
	all.add(i.found)
	if all.len() > 0 {
		return all.err()
	}
	return i.warn(ctx)
}

// write publishes what changed.
func (i *importing) write(ctx context.Context, tx Tx) error {
	if err := carryOut(ctx, i, tx, i.service.Modules, i.modules); err != nil {
		return err
	}
	return carryOut(ctx, i, tx, i.service.Paths, i.paths)
}
