package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
)

// pathID is the starter catalog's path that the measured learner is on.
const pathID = "clinical-ai-engineer"

// target is a unit that an event can be about.
type target struct{ module, unit string }

// mintToken makes a learner's token.
func mintToken(ctx context.Context, bin, subject string) (string, error) {
	data := filepath.Join(filepath.Dir(bin), "data")
	out, err := exec.CommandContext(ctx, bin, "token", "--data", data, "--subject", subject, "--role", "learner").Output()
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// writeOutline writes the measured path into a file for the bare handler.
func writeOutline(ctx context.Context, bin string, ours *server, dir string) (string, error) {
	token, err := mintToken(ctx, bin, "load-0")
	if err != nil {
		return "", err
	}
	path, err := readOutline(ctx, ours, token)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(path)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "path.json")
	return file, os.WriteFile(file, text, 0o600)
}

// prepare makes the learners, enrolls one and completes units of theirs, on both sides, and
// returns what to measure.
func prepare(ctx context.Context, bin string, ours, bare *server, o options) ([]job, error) {
	tokens := make([]string, o.connections)
	for i := range tokens {
		var err error
		if tokens[i], err = mintToken(ctx, bin, fmt.Sprintf("load-%d", i)); err != nil {
			return nil, err
		}
	}
	path, err := readOutline(ctx, ours, tokens[0])
	if err != nil {
		return nil, err
	}
	targets := path.units(o.completions)
	if _, err := call(ctx, ours, http.MethodPost, "/v1/learners/me/enrollments", tokens[0], `{"pathId":"`+pathID+`"}`); err != nil {
		return nil, err
	}
	for _, t := range targets {
		if _, err := call(ctx, ours, http.MethodPost, "/v1/learners/me/events:batch", tokens[0], eventBody(t)); err != nil {
			return nil, err
		}
		if _, err := call(ctx, bare, http.MethodPost, "/load-0/events", "", eventBody(t)); err != nil {
			return nil, err
		}
	}
	read := httpRequest(http.MethodGet, "/v1/learners/me/paths/"+pathID+"/progress", tokens[0], "")
	readBare := httpRequest(http.MethodGet, "/load-0/progress", "", "")
	return []job{
		{
			name: fmt.Sprintf("read a path's progress, %d completions", len(targets)),
			ours: func(int) request { return read },
			bare: func(int) request { return readBare },
		},
		{
			name: "record one event a request, durable",
			ours: func(c int) request {
				return httpRequest(http.MethodPost, "/v1/learners/me/events:batch", tokens[c], eventBody(targets[c%len(targets)]))
			},
			bare: func(c int) request {
				return httpRequest(http.MethodPost, fmt.Sprintf("/writer-%d/events", c), "", eventBody(targets[c%len(targets)]))
			},
		},
	}, nil
}

func eventBody(t target) string {
	return fmt.Sprintf(`{"events":[{"eventId":%q,"moduleId":%q,"unitId":%q,"verb":"COMPLETED","occurredAt":%q,"deviceId":"phone-1"}]}`,
		uuid.NewString(), t.module, t.unit, time.Now().UTC().Format(time.RFC3339Nano))
}

// units returns the first units of the path's modules, in order.
func (o *outline) units(most int) []target {
	var out []target
	for _, m := range o.Milestones {
		for _, module := range m.Modules {
			for _, unit := range module.Units {
				if len(out) < most {
					out = append(out, target{module.ID, unit})
				}
			}
		}
	}
	return out
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

// call makes one request and returns the body of a success.
func call(ctx context.Context, s *server, method, path, token, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.address+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= http.StatusMultipleChoices || strings.Contains(string(out), `"REJECTED"`) {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, out)
	}
	return out, nil
}
