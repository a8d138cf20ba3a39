package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestManyViolationsOfABody proves that a problem names a hundred violations, and how many more
// there are, whichever reader of bodies finds them.
func TestManyViolationsOfABody(t *testing.T) {
	h := open(t)
	var members, events []string
	for i := range 150 {
		members = append(members, fmt.Sprintf(`"field%d":1`, i))
		events = append(events, `{"eventId":7}`)
	}
	for name, c := range map[string]struct{ method, path, body string }{
		"a create": {"POST", "/v1/modules?moduleId=a", "{" + strings.Join(members, ",") + "}"},
		"a batch":  {"POST", "/v1/learners/me/events:batch", `{"events":[` + strings.Join(events, ",") + `]}`},
		"files":    {"POST", importPath, `{"files":[],` + strings.Join(members, ",") + "}"},
	} {
		t.Run(name, func(t *testing.T) {
			a := h.do(t, c.method, c.path, c.body, "Content-Type", "application/json")
			var problem struct {
				Detail     string
				Violations []struct{ Field string }
			}
			if err := json.Unmarshal([]byte(a.body), &problem); err != nil {
				t.Fatal(err)
			}
			if a.status != 400 || len(problem.Violations) != 100 || !strings.Contains(problem.Detail, "150 fields are not valid") || !strings.Contains(problem.Detail, "50 more") {
				t.Errorf("%d, %d violations: %.300s", a.status, len(problem.Violations), a.body)
			}
		})
	}
}
