package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
)

// pathID is the starter catalog's path that the measured learners are on.
const pathID = "clinical-ai-engineer"

// target is a unit that an event can be about.
type target struct{ module, unit string }

// outline is the path that progress is asked about, as the bare handlers are given it.
type outline struct {
	Milestones []outlineMilestone `json:"milestones"`
}

type outlineMilestone struct {
	ID      string          `json:"id"`
	Title   string          `json:"title"`
	Modules []outlineModule `json:"modules"`
}

type outlineModule struct {
	ID    string   `json:"id"`
	Title string   `json:"title"`
	Units []string `json:"units"`
}

// units returns the units of the path's modules, in order.
func (o *outline) units() []target {
	var out []target
	for _, m := range o.Milestones {
		for _, module := range m.Modules {
			for _, unit := range module.Units {
				out = append(out, target{module.ID, unit})
			}
		}
	}
	return out
}

// write writes the path into a file of the folder for the bare handlers.
func (o *outline) write(dir string) (string, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "path.json")
	return file, os.WriteFile(file, text, 0o600)
}

// loadOutline reads such a file.
func loadOutline(file string) (*outline, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	path := new(outline)
	return path, json.Unmarshal(text, path)
}

// catalogPath and catalogModule are what the load needs of the API's answers.
type catalogPath struct {
	Version struct {
		Milestones []struct {
			ID     string `json:"id"`
			Title  string `json:"title"`
			Groups []struct {
				ModuleIDs []string `json:"moduleIds"`
			} `json:"groups"`
		} `json:"milestones"`
	} `json:"version"`
}

type catalogModule struct {
	ID      string `json:"id"`
	Version struct {
		Title string `json:"title"`
		Units []struct {
			ID string `json:"id"`
		} `json:"units"`
	} `json:"version"`
}

// readOutline reads the measured path and its modules.
func readOutline(ctx context.Context, s *server, token string) (*outline, error) {
	var path catalogPath
	if err := get(ctx, s, "/v1/paths/"+pathID, token, &path); err != nil {
		return nil, err
	}
	out := new(outline)
	for _, m := range path.Version.Milestones {
		line := outlineMilestone{ID: m.ID, Title: m.Title}
		for _, g := range m.Groups {
			for _, id := range g.ModuleIDs {
				var module catalogModule
				if err := get(ctx, s, "/v1/modules/"+id, token, &module); err != nil {
					return nil, err
				}
				mod := outlineModule{ID: id, Title: module.Version.Title}
				for _, u := range module.Version.Units {
					mod.Units = append(mod.Units, u.ID)
				}
				line.Modules = append(line.Modules, mod)
			}
		}
		out.Milestones = append(out.Milestones, line)
	}
	return out, nil
}

// get reads one resource.
func get(ctx context.Context, s *server, path, token string, to any) error {
	body, err := call(ctx, s, http.MethodGet, path, token, "")
	if err != nil {
		return err
	}
	return json.Unmarshal(body, to)
}
