// Package starter is the catalog that an empty installation begins with: modules and
// learning paths into healthcare AI, as the YAML files beside this one.
package starter

import (
	"context"
	"embed"
	"io/fs"

	"github.com/preceptor-dev/preceptor/services/catalog"
)

//go:embed *.yaml
var embedded embed.FS

// actor is the subject that published it, in the feed of changes.
const actor = "starter"

// Files are the starter catalog's, by name.
func Files() ([]catalog.File, error) {
	names, err := fs.Glob(embedded, "*.yaml")
	if err != nil {
		return nil, err
	}
	var files []catalog.File
	for _, name := range names {
		text, err := embedded.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, catalog.File{Name: name, Content: string(text)})
	}
	return files, nil
}

// Load imports the files, all or nothing, into a catalog in which nothing was ever
// published; loaded is false when something was.
func Load(ctx context.Context, service *catalog.Service) (loaded bool, err error) {
	revision, err := service.Revision(ctx)
	if err != nil || revision > 0 {
		return false, err
	}
	files, err := Files()
	if err != nil {
		return false, err
	}
	// Another replica may load it at this moment: the import looks again, under its lock.
	done, err := service.Import(ctx, files, catalog.ImportOptions{OnlyIfEmpty: true, Actor: actor})
	return len(done.Changes) > 0, err
}
