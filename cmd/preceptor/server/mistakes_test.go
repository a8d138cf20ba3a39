package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// outcome is the one answer to a kind of mistake, whichever route it is made on.
type outcome struct {
	status    int
	code      string
	reason    string
	violation string // the reason of the field's violation; "" for none
}

func violating(reason string) outcome {
	return outcome{http.StatusBadRequest, "INVALID_ARGUMENT", errs.ReasonInvalidArgument, reason}
}

// outcomes are the answers to all kinds of mistakes.
var outcomes = map[string]outcome{
	"unknown parameter":      violating(errs.ReasonUnknownField),
	"repeated parameter":     violating(errs.ReasonDuplicateField),
	"parameter's type":       violating(errs.ReasonInvalidType),
	"parameter's enum":       violating(errs.ReasonUnknownValue),
	"parameter's range":      violating(errs.ReasonOutOfRange),
	"long parameter":         violating(errs.ReasonTooLong),
	"NUL in a parameter":     violating(errs.ReasonNULCharacter),
	"UTF-8 of a parameter":   violating(errs.ReasonInvalidUTF8),
	"escapes of the query":   violating(errs.ReasonMalformed),
	"page token":             {http.StatusBadRequest, "INVALID_ARGUMENT", errs.ReasonBadPageToken, errs.ReasonBadPageToken},
	"NUL in the path":        violating(errs.ReasonNULCharacter),
	"UTF-8 of the path":      violating(errs.ReasonInvalidUTF8),
	"UUID in the path":       violating(errs.ReasonInvalidUUID),
	"slug in the path":       violating(errs.ReasonMalformed),
	"number in the path":     violating(errs.ReasonInvalidType),
	"range in the path":      violating(errs.ReasonOutOfRange),
	"trailing slash":         {http.StatusNotFound, "NOT_FOUND", errs.ReasonRouteNotFound, ""},
	"escaped slash":          {http.StatusNotFound, "NOT_FOUND", errs.ReasonRouteNotFound, ""},
	"custom method":          {http.StatusNotFound, "NOT_FOUND", errs.ReasonRouteNotFound, ""},
	"method":                 {http.StatusMethodNotAllowed, "UNIMPLEMENTED", errs.ReasonMethodNotAllowed, ""},
	"no token":               {http.StatusUnauthorized, "UNAUTHENTICATED", errs.ReasonTokenMissing, ""},
	"another's token":        {http.StatusUnauthorized, "UNAUTHENTICATED", errs.ReasonTokenInvalid, ""},
	"other learner":          {http.StatusForbidden, "PERMISSION_DENIED", errs.ReasonNotYourData, ""},
	"role":                   {http.StatusForbidden, "PERMISSION_DENIED", errs.ReasonRoleRequired, ""},
	"missing learner":        {http.StatusNotFound, "NOT_FOUND", errs.ReasonLearnerNotFound, ""},
	"missing module":         {http.StatusNotFound, "NOT_FOUND", errs.ReasonModuleNotFound, ""},
	"missing path":           {http.StatusNotFound, "NOT_FOUND", errs.ReasonPathNotFound, ""},
	"path without enrolling": {http.StatusNotFound, "NOT_FOUND", errs.ReasonNotEnrolled, ""},
	"missing enrollment":     {http.StatusNotFound, "NOT_FOUND", errs.ReasonEnrollmentNotFound, ""},
	"missing award":          {http.StatusNotFound, "NOT_FOUND", errs.ReasonAwardNotFound, ""},
	"missing cohort":         {http.StatusNotFound, "NOT_FOUND", errs.ReasonCohortNotFound, ""},
	"missing version":        {http.StatusNotFound, "NOT_FOUND", errs.ReasonVersionNotFound, ""},
	"truncated body":         violating(errs.ReasonInvalidJSON),
	"body's type":            violating(errs.ReasonInvalidType),
	"UTF-8 of the body":      violating(errs.ReasonInvalidUTF8),
	"large body":             {http.StatusRequestEntityTooLarge, "INVALID_ARGUMENT", errs.ReasonBodyTooLarge, ""},
	"media type":             {http.StatusUnsupportedMediaType, "INVALID_ARGUMENT", errs.ReasonUnsupportedMediaType, ""},
	"encoding":               {http.StatusUnsupportedMediaType, "INVALID_ARGUMENT", errs.ReasonUnsupportedEncoding, ""},
	"gzip":                   violating(errs.ReasonMalformed),
	"unknown field":          violating(errs.ReasonUnknownField),
	"field of the path":      violating(errs.ReasonUnknownField),
	"repeated field":         violating(errs.ReasonDuplicateField),
	"field's type":           violating(errs.ReasonInvalidType),
	"field's enum":           violating(errs.ReasonUnknownValue),
	"enum without a name":    violating(errs.ReasonUnknownValue),
	"field's time":           violating(errs.ReasonMalformed),
	"NUL in a field":         violating(errs.ReasonNULCharacter),
	"long field":             violating(errs.ReasonTooLong),
	"many items":             violating(errs.ReasonTooMany),
	"missing field":          violating(errs.ReasonRequired),
	"stale etag":             {http.StatusPreconditionFailed, "FAILED_PRECONDITION", errs.ReasonEtagMismatch, ""},
	"long etag":              violating(errs.ReasonTooLong),
	"two etags":              violating(errs.ReasonEtagsDiffer),
	"no precondition":        violating(errs.ReasonUnknownField),
	"mask of no field":       violating(errs.ReasonUnknownField),
	"mask of a fixed field":  violating(errs.ReasonNotSettable),
	"idempotency key":        violating(errs.ReasonIdempotencyKeyInvalid),
	"no etag":                violating(errs.ReasonMalformed),
	"mask of a field twice":  violating(errs.ReasonDuplicateField),
	"body of nothing":        violating(errs.ReasonUnknownField),
}

// mistake is one request with one fault.
type mistake struct {
	kind  string
	field string // of the violation
	request
}

// request is what is sent to a route.
type request struct {
	method, path, query, body string
	header                    map[string]string
	token                     string // "" for the one that may do everything, "none" for none
}

// problem is the part of a problem document that the table holds.
type problem struct {
	Code       string `json:"code"`
	Reason     string `json:"reason"`
	Violations []struct {
		Field       string `json:"field"`
		Reason      string `json:"reason"`
		Description string `json:"description"`
	} `json:"violations"`
}

// TestMistakes makes every kind of mistake on every route that it can be made on.
func TestMistakes(t *testing.T) {
	t.Parallel()
	m := openMistakes(t)
	made, services := map[string]int{}, map[string]map[string]bool{}
	for _, r := range m.routes {
		for _, wrong := range m.mistakesOn(r) {
			want, known := outcomes[wrong.kind]
			if !known {
				t.Fatalf("no outcome of %q", wrong.kind)
			}
			m.check(t, r, wrong, want)
			made[wrong.kind]++
			if services[wrong.kind] == nil {
				services[wrong.kind] = map[string]bool{}
			}
			services[wrong.kind][r.service] = true
		}
	}
	total := 0
	for _, kind := range slices.Sorted(maps.Keys(outcomes)) {
		if total += made[kind]; made[kind] == 0 {
			t.Errorf("nobody made the mistake %q", kind)
		}
		t.Logf("%-24s %4d times, on %s", kind, made[kind], strings.Join(slices.Sorted(maps.Keys(services[kind])), ", "))
	}
	t.Logf("%d mistakes on %d routes", total, len(m.routes))
}

func (m *mistakes) check(t *testing.T, r restRoute, wrong mistake, want outcome) {
	t.Helper()
	what := fmt.Sprintf("%s: %s %s?%s %.80q %v", wrong.kind, wrong.method, wrong.path, wrong.query, wrong.body, wrong.header)
	status, body := m.send(t, wrong.request)
	var p problem
	if err := json.Unmarshal(body, &p); err != nil {
		t.Errorf("%s of %s:\n%d %s", what, r.rpc, status, body)
		return
	}
	if got := (outcome{status, p.Code, p.Reason, want.violation}); got != want {
		t.Errorf("%s of %s:\n%d %s\nwant %+v", what, r.rpc, status, body, want)
		return
	}
	if want.violation == "" && len(p.Violations) == 0 {
		return
	}
	if len(p.Violations) != 1 || p.Violations[0].Field != wrong.field || p.Violations[0].Reason != want.violation || p.Violations[0].Description == "" {
		t.Errorf("%s of %s:\n%s\nwant one violation, of %s: %s", what, r.rpc, body, wrong.field, want.violation)
	}
}

// mistakes is a server, and what requests to it are made of.
type mistakes struct {
	url string
	// handler is what url serves.
	handler http.Handler
	tokens  map[string]string
	routes  []restRoute
	ids     map[string]string // of things that exist, by the name of the path's parameter
	other   string            // the id of another learner
}

func openMistakes(t testing.TB) *mistakes {
	t.Helper()
	p := openAll(t)
	conns := map[string]grpc.ClientConnInterface{}
	for _, row := range p.table {
		conns[row.Name] = p.find(row.Name).server.InProcess(Gateway)
	}
	g, err := p.openGateway(t.Context(), conns)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	m := &mistakes{url: s.URL, handler: g, tokens: map[string]string{"none": ""}, routes: restRoutes(t)}
	issuer, err := auth.OpenLocalIssuer(p.cfg.Data, p.now)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := auth.OpenLocalIssuer(t.TempDir(), p.now)
	if err != nil {
		t.Fatal(err)
	}
	every := []auth.Role{auth.RoleLearner, auth.RoleManager, auth.RoleAuthor, auth.RoleAdmin}
	for name, roles := range map[string][]auth.Role{"": every, "learner": {auth.RoleLearner}} {
		if m.tokens[name], err = issuer.Mint("mistaken-"+name, roles, "", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if m.tokens["another's"], err = foreign.Mint("mistaken-", every, "", time.Hour); err != nil {
		t.Fatal(err)
	}
	m.makeThings(t)
	return m
}

// makeThings finds or makes something for each parameter of a path.
func (m *mistakes) makeThings(t testing.TB) {
	t.Helper()
	first := func(path, list string) string {
		var page map[string][]struct {
			ID string `json:"id"`
		}
		_, body := m.send(t, request{method: http.MethodGet, path: path, query: "pageSize=1"})
		if err := json.Unmarshal(bytes.Replace(body, []byte(`"nextPageToken":"`), []byte(`"next":[],"x":"`), 1), &page); err == nil || page[list] == nil {
			t.Fatalf("%s: %s", path, body)
		}
		return page[list][0].ID
	}
	m.ids = map[string]string{"learner_id": "me", "number": "1", "module_id": first("/v1/modules", "modules"), "path_id": first("/v1/paths", "paths")}
	var enrollment struct {
		ID string `json:"id"`
	}
	status, body := m.send(t, request{
		method: http.MethodPost, path: "/v1/learners/me/enrollments", body: `{"pathId":"` + m.ids["path_id"] + `"}`,
	})
	if err := json.Unmarshal(body, &enrollment); err != nil || status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	m.ids["enrollment_id"], m.ids["award_id"] = enrollment.ID, noID
	var other struct {
		ID string `json:"id"`
	}
	status, body = m.send(t, request{method: http.MethodPost, path: "/v1/learners", body: "{}"})
	if err := json.Unmarshal(body, &other); err != nil || status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	m.other = other.ID
	const cohort = "mistaken"
	if status, body = m.send(t, request{
		method: http.MethodPost, path: "/v1/cohorts", query: "cohortId=" + cohort, body: `{"title": "Mistaken", "kind": "STATIC"}`,
	}); status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	m.ids["cohort_id"] = cohort
}

// noID is of nothing.
const noID = "00000000-0000-4000-8000-000000000000"

func (m *mistakes) send(t testing.TB, r request) (status int, body []byte) {
	t.Helper()
	url := m.url + r.path
	if r.query != "" {
		url += "?" + r.query
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, url, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if token := m.tokens[r.token]; token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	res, err := (&http.Client{Timeout: 5 * time.Second}).Do(req) // a watch that is not refused does not end
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(res.Body, 1<<20)); err != nil {
		t.Errorf("%s %s: %v", r.method, url, err)
	}
	return res.StatusCode, body
}
