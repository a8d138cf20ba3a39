package progress

import "github.com/preceptor-dev/preceptor/internal/errs"

// PathPins are the versions that a learner is on: of a path, and of each of its modules.
type PathPins struct {
	Path    int         `json:"path"`
	Modules []ModulePin `json:"modules"`
}

// ModulePin is a version of a module.
type ModulePin struct {
	ModuleID string `json:"moduleId"`
	Version  int    `json:"version"`
}

// Pins returns the versions that the learner is on in a path. NotFound when they are not enrolled in it.
func (w *View) Pins(pathID string) (*PathPins, error) {
	v, err := w.enrolledIn(pathID)
	if err != nil {
		return nil, err
	}
	out := &PathPins{Path: v.Number, Modules: []ModulePin{}}
	for _, id := range v.ModuleIDs() {
		if m := w.catalog.Modules[id]; m != nil {
			out.Modules = append(out.Modules, ModulePin{ModuleID: id, Version: w.module(m).Version})
		}
	}
	return out, nil
}

// PathContent is what a learner learns on a path: the versions that they are on, whole.
type PathContent struct {
	PathID  string
	Version Published
	Modules []ModuleContent
}

// ModuleContent is what a learner learns in a module.
type ModuleContent struct {
	ModuleID string
	Version  Published
}

// Content returns the versions of the pins, whole. Unavailable when the catalog does not have one.
func (c *Catalog) Content(pathID string, pins *PathPins) (*PathContent, error) {
	behind := func(what, id string) error {
		return errs.New(errs.Unavailable, errs.ReasonCatalogBehind, "%s %s is not known here yet; ask again", what, id)
	}
	p := c.Paths[pathID]
	if p == nil || p.Version(pins.Path) == nil {
		return nil, behind("path", pathID)
	}
	out := &PathContent{PathID: pathID, Version: p.Version(pins.Path).Published, Modules: make([]ModuleContent, 0, len(pins.Modules))}
	for _, pin := range pins.Modules {
		m := c.Modules[pin.ModuleID]
		if m == nil || m.Version(pin.Version) == nil {
			return nil, behind("module", pin.ModuleID)
		}
		out.Modules = append(out.Modules, ModuleContent{ModuleID: pin.ModuleID, Version: m.Version(pin.Version).Published})
	}
	return out, nil
}
