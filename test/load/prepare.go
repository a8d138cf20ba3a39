package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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

// prepare makes the learners, enrolls one and completes units of theirs, on both sides, and
// answers what to measure.
func prepare(ctx context.Context, bin string, ours, bare *server, o options) ([]job, error) {
	data := filepath.Join(filepath.Dir(bin), "data")
	tokens := make([]string, o.connections)
	for i := range tokens {
		out, err := exec.CommandContext(ctx, bin, "token", "--data", data, "--subject", fmt.Sprintf("load-%d", i), "--role", "learner").Output()
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		tokens[i] = strings.TrimSpace(string(out))
	}
	targets, err := pathUnits(ctx, ours, tokens[0], o.completions)
	if err != nil {
		return nil, err
	}
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

// pathUnits answers the first units of the path's modules, in order.
func pathUnits(ctx context.Context, s *server, token string, most int) ([]target, error) {
	body, err := call(ctx, s, http.MethodGet, "/v1/paths/"+pathID, token, "")
	if err != nil {
		return nil, err
	}
	var path struct {
		Version struct {
			Milestones []struct {
				Groups []struct{ ModuleIDs []string }
			}
		}
	}
	if err := json.Unmarshal(body, &path); err != nil {
		return nil, err
	}
	var out []target
	for _, m := range path.Version.Milestones {
		for _, g := range m.Groups {
			for _, id := range g.ModuleIDs {
				body, err := call(ctx, s, http.MethodGet, "/v1/modules/"+id, token, "")
				if err != nil {
					return nil, err
				}
				var module struct {
					Version struct{ Units []struct{ ID string } }
				}
				if err := json.Unmarshal(body, &module); err != nil {
					return nil, err
				}
				for _, u := range module.Version.Units {
					if out = append(out, target{id, u.ID}); len(out) == most {
						return out, nil
					}
				}
			}
		}
	}
	return out, nil
}

// call makes one request and answers the body of a success.
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
