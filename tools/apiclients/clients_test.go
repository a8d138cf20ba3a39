//go:build generated

package apiclients

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/preceptor-dev/preceptor/tools/apiclients/generated/oapi"
	"github.com/preceptor-dev/preceptor/tools/apiclients/generated/ogen"
)

// bearer is a token as ogen's client wants it.
type bearer string

func (b bearer) Bearer(context.Context, ogen.OperationName) (ogen.Bearer, error) {
	return ogen.Bearer{Token: string(b)}, nil
}

func ogenClient(t *testing.T, s *server, subject string, roles ...string) *ogen.Client {
	t.Helper()
	c, err := ogen.NewClient(s.url, bearer(s.token(t, subject, roles...)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// as returns the response as one of its kinds. The client has checked it against the document: what is
// required is there, within its limits, and so are the headers.
func as[T any](t *testing.T, response any, err error) *T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	r, ok := response.(*T)
	if !ok {
		t.Fatalf("the response is %T: %+v", response, response)
	}
	return r
}

// body returns the body of a success, whatever ogen calls what it is wrapped in.
func body[T any](t *testing.T, response any, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	r, ok := response.(interface{ GetResponse() T })
	if !ok {
		t.Fatalf("the response is %T: %+v", response, response)
	}
	return r.GetResponse()
}

// course is what the author publishes: a path of two modules.
const basics, quiz, path = "client-basics", "client-quiz", "client-path"

// TestOgen does the whole job with the client that ogen generates.
func TestOgen(t *testing.T) {
	s := start(t)
	publishWithOgen(t, ogenClient(t, s, "ann", "author"))
	me := ogenClient(t, s, "lee")
	learner := enrollWithOgen(t, me)
	learnWithOgen(t, me)
	refusedToOgen(t, s, me)
	superviseWithOgen(t, ogenClient(t, s, "ada", "admin"), learner)
}

// publishWithOgen writes drafts, edits and publishes them.
func publishWithOgen(t *testing.T, author *ogen.Client) {
	t.Helper()
	ctx := t.Context()
	content := &ogen.ModuleVersionInput{
		Title: ogen.NewOptString("Basics"), Topic: ogen.NewOptString("hipaa"),
		Units: []ogen.UnitInput{
			{ID: "phi", Title: ogen.NewOptString("PHI"), Kind: ogen.NewOptUnitKind(ogen.UnitKindREADING), Weight: ogen.NewOptFloat64(0.5)},
			{ID: "rules", Title: ogen.NewOptString("Rules"), Required: ogen.NewOptBool(false)},
		},
	}
	create := func(id string, content *ogen.ModuleVersionInput) *ogen.ModuleHeaders {
		r, err := author.CreateModule(ctx, content, ogen.CreateModuleParams{ModuleId: id, IdempotencyKey: ogen.NewOptString("make-" + id)})
		return as[ogen.ModuleHeaders](t, r, err)
	}
	made := create(basics, content)
	if made.Location != "/v1/modules/"+basics || made.Response.State != ogen.ModuleStateDRAFT {
		t.Errorf("made %+v", made)
	}
	edit := &ogen.ModuleVersionInput{Title: ogen.NewOptString("The basics")}
	r, err := author.UpdateModule(ctx, edit, ogen.UpdateModuleParams{Module: basics, IfMatch: ogen.NewOptString(made.ETag)})
	if draft := body[ogen.Module](t, r, err).Draft.Value; draft.Title != "The basics" || len(draft.Units) != 2 {
		t.Errorf("edited %+v", draft)
	}
	lost, err := author.UpdateModule(ctx, edit, ogen.UpdateModuleParams{Module: basics, IfMatch: ogen.NewOptString(made.ETag)})
	if p := as[ogen.PreconditionFailedHeaders](t, lost, err).Response; p.Reason != "ETAG_MISMATCH" || p.Code != ogen.ProblemCodeFAILEDPRECONDITION {
		t.Errorf("lost: %+v", p)
	}
	create(quiz, &ogen.ModuleVersionInput{
		Title: ogen.NewOptString("Quiz"), Prerequisites: []string{basics},
		Units: []ogen.UnitInput{{
			ID: "quiz", Title: ogen.NewOptString("Quiz"), Kind: ogen.NewOptUnitKind(ogen.UnitKindQUIZ), MasteryScore: ogen.NewOptFloat64(0.8),
		}},
	})
	for _, id := range []string{basics, quiz} {
		p, err := author.PreviewModule(ctx, ogen.OptPreviewModuleReq{}, ogen.PreviewModuleParams{Module: id})
		if v := body[ogen.PreviewModuleResult](t, p, err).Violations; len(v) != 0 {
			t.Errorf("%s cannot be published: %v", id, v)
		}
		r, err := author.PublishModule(ctx, ogen.OptPublishModuleReq{}, ogen.PublishModuleParams{Module: id})
		if m := body[ogen.Module](t, r, err); m.LatestVersion != 1 || m.State != ogen.ModuleStateACTIVE {
			t.Errorf("published %+v", m)
		}
	}
	group := func(id string) []ogen.ModuleGroupInput { return []ogen.ModuleGroupInput{{ModuleIds: []string{id}}} }
	c, err := author.CreatePath(ctx, &ogen.PathVersionInput{
		Title: ogen.NewOptString("From the start"),
		Milestones: []ogen.MilestoneInput{
			{ID: "begin", Title: ogen.NewOptString("Begin"), Groups: group(basics)},
			{ID: "finish", Title: ogen.NewOptString("Finish"), Groups: group(quiz)},
		},
	}, ogen.CreatePathParams{PathId: path})
	body[ogen.Path](t, c, err)
	p, err := author.PublishPath(ctx, ogen.OptPublishPathReq{}, ogen.PublishPathParams{Path: path})
	body[ogen.Path](t, p, err)
	exported, err := author.ExportCatalog(ctx, ogen.ExportCatalogParams{})
	text, rerr := io.ReadAll(as[ogen.ExportCatalogOKApplicationYamlHeaders](t, exported, err).Response)
	if rerr != nil || !strings.Contains(string(text), basics) {
		t.Errorf("exported %s, %v", text, rerr)
	}
	imported, err := author.ImportCatalog(ctx, &ogen.ImportCatalogReqApplicationYaml{Data: strings.NewReader(string(text))},
		ogen.ImportCatalogParams{DryRun: ogen.NewOptBool(true)})
	if r := body[ogen.ImportCatalogResult](t, imported, err); len(r.Changes) != 0 || r.UnchangedCount < 3 {
		t.Errorf("importing the export would change %+v", r)
	}
}

// enrollWithOgen signs in, looks for the path and enrolls; it returns the learner's id.
func enrollWithOgen(t *testing.T, me *ogen.Client) string {
	t.Helper()
	ctx := t.Context()
	r, err := me.GetLearner(ctx, ogen.GetLearnerParams{Learner: "me"})
	signedIn := as[ogen.GetLearnerOKHeaders](t, r, err)
	u, err := me.UpdateLearner(ctx, &ogen.LearnerInput{TimeZone: ogen.NewOptString("Europe/Berlin")},
		ogen.UpdateLearnerParams{Learner: "me", IfMatch: ogen.NewOptString(signedIn.ETag)})
	if l := body[ogen.Learner](t, u, err); l.TimeZone != "Europe/Berlin" || l.ID != signedIn.Response.ID {
		t.Errorf("updated %+v", l)
	}
	paths, err := me.ListPaths(ctx, ogen.ListPathsParams{Q: ogen.NewOptString("start"), IncludeTotal: ogen.NewOptBool(true)})
	if l := body[ogen.ListPathsResult](t, paths, err); len(l.Paths) != 1 || l.Paths[0].ID != path || l.TotalSize.Value != 1 {
		t.Errorf("paths %+v", l)
	}
	e, err := me.CreateEnrollment(ctx, &ogen.CreateEnrollmentReq{PathId: path}, ogen.CreateEnrollmentParams{Learner: "me"})
	made := as[ogen.EnrollmentHeaders](t, e, err)
	if made.Response.State != ogen.EnrollmentStateACTIVE || made.ETag != `"`+made.Response.Etag+`"` || !strings.HasSuffix(made.Location, made.Response.ID) {
		t.Errorf("enrolled %+v", made)
	}
	for _, state := range []ogen.EnrollmentState{ogen.EnrollmentStatePAUSED, ogen.EnrollmentStateACTIVE} {
		u, err := me.UpdateEnrollment(ctx, &ogen.EnrollmentInput{State: ogen.NewOptEnrollmentState(state)},
			ogen.UpdateEnrollmentParams{Learner: "me", Enrollment: uuid.MustParse(made.Response.ID)})
		if got := body[ogen.Enrollment](t, u, err); got.State != state {
			t.Errorf("%s is %+v", state, got)
		}
	}
	return signedIn.Response.ID
}

// learnWithOgen records what was learned, and reads what came of it.
func learnWithOgen(t *testing.T, me *ogen.Client) {
	t.Helper()
	ctx := t.Context()
	event := func(module, unit string, verb ogen.ProgressEventVerb) ogen.ProgressEventInput {
		return ogen.ProgressEventInput{
			EventId: uuid.New(), ModuleId: ogen.NewOptString(module), UnitId: ogen.NewOptString(unit), Verb: verb, OccurredAt: time.Now(),
			DeviceId: ogen.NewOptString("phone"),
		}
	}
	failed := event(quiz, "quiz", ogen.ProgressEventVerbFAILED)
	failed.Score = ogen.NewOptFloat64(0.9) // which the module takes for enough
	sent := ogen.BatchRecordEventsReq{Events: []ogen.ProgressEventInput{event(basics, "phi", ogen.ProgressEventVerbCOMPLETED), failed}}
	r, err := me.BatchRecordEvents(ctx, ogen.NewOptBatchRecordEventsReq(sent), ogen.BatchRecordEventsParams{Learner: "me"})
	batch := body[ogen.BatchRecordEventsResult](t, r, err)
	if batch.Results[0].Status != ogen.EventResultStatusACCEPTED || batch.Results[1].Reason.Value != "MASTERY_SCORE_REACHED" || len(batch.Awards) != 1 {
		t.Errorf("recorded %+v", batch)
	}
	p, err := me.GetPathProgress(ctx, ogen.GetPathProgressParams{Learner: "me", Path: path})
	read := as[ogen.PathProgressHeaders](t, p, err)
	if got := read.Response; got.Percent.Value != 50 || got.Milestones[0].Award.Value.ID == "" || got.Next[0].UnitId != "quiz" {
		t.Errorf("progress %+v", got)
	}
	same, err := me.GetPathProgress(ctx, ogen.GetPathProgressParams{Learner: "me", Path: path, IfNoneMatch: ogen.NewOptString(read.ETag)})
	if got := as[ogen.GetPathProgressNotModified](t, same, err); got.ETag != read.ETag {
		t.Errorf("not modified: %+v", got)
	}
	m, err := me.GetModuleProgress(ctx, ogen.GetModuleProgressParams{Learner: "me", Module: basics})
	if got := body[ogen.ModuleProgressDetail](t, m, err); got.State != ogen.ModuleProgressStateCOMPLETED || !got.Units[0].Done {
		t.Errorf("module %+v", got)
	}
	x, err := me.ExplainPathProgress(ctx, ogen.ExplainPathProgressParams{Learner: "me", Path: path})
	body[ogen.PathExplanation](t, x, err)
	o, err := me.GetProgress(ctx, ogen.GetProgressParams{Learner: "me"})
	if got := body[ogen.GetProgressResult](t, o, err); got.Streak.CurrentDays != 1 || len(got.Enrollments) != 1 {
		t.Errorf("overview %+v", got)
	}
	l, err := me.ListEvents(ctx, ogen.ListEventsParams{Learner: "me", PageSize: ogen.NewOptInt32(1)})
	if got := body[ogen.ListEventsResult](t, l, err); len(got.Events) != 1 || got.NextAfterSequence != 1 || got.AsOfSequence < 2 {
		t.Errorf("events %+v", got)
	}
	recommended, err := me.ListRecommendedPaths(ctx, ogen.ListRecommendedPathsParams{Learner: "me"})
	body[ogen.ListRecommendedPathsResult](t, recommended, err)
}

// refusedToOgen does what is refused, each by a status of its own.
func refusedToOgen(t *testing.T, s *server, me *ogen.Client) {
	t.Helper()
	ctx := t.Context()
	again, err := me.CreateEnrollment(ctx, &ogen.CreateEnrollmentReq{PathId: path}, ogen.CreateEnrollmentParams{Learner: "me"})
	if p := as[ogen.ConflictHeaders](t, again, err); p.Response.Reason != "ALREADY_ENROLLED" || p.XRequestID != p.Response.RequestId {
		t.Errorf("%+v", p)
	}
	missing, err := me.GetModule(ctx, ogen.GetModuleParams{Module: "nothing"})
	if p := as[ogen.NotFoundHeaders](t, missing, err).Response; p.Reason != "MODULE_NOT_FOUND" || p.Status != http.StatusNotFound {
		t.Errorf("%+v", p)
	}
	forbidden, err := me.CreatePath(ctx, &ogen.PathVersionInput{}, ogen.CreatePathParams{PathId: "mine"})
	if p := as[ogen.ForbiddenHeaders](t, forbidden, err).Response; p.Reason != "ROLE_REQUIRED" {
		t.Errorf("%+v", p)
	}
	bad, err := me.ListModules(ctx, ogen.ListModulesParams{PageToken: ogen.NewOptString("nonsense")})
	if p := as[ogen.BadRequestHeaders](t, bad, err).Response; p.Reason != "BAD_PAGE_TOKEN" {
		t.Errorf("%+v", p)
	}
	stranger, err := ogen.NewClient(s.url, bearer("nonsense"))
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := stranger.GetLearner(ctx, ogen.GetLearnerParams{Learner: "me"})
	if p := as[ogen.UnauthorizedHeaders](t, unknown, err); p.Response.Reason != "TOKEN_INVALID" || !strings.HasPrefix(p.WWWAuthenticate, "Bearer") {
		t.Errorf("%+v", p)
	}
	// The client itself refuses what the document does not allow.
	weightless := []ogen.UnitInput{{ID: "u", Weight: ogen.NewOptFloat64(0)}}
	if _, err := me.CreateModule(ctx, &ogen.ModuleVersionInput{Units: weightless}, ogen.CreateModuleParams{ModuleId: "m"}); err == nil {
		t.Error("a client sent a weight of 0")
	}
}

// superviseWithOgen does what an admin does.
func superviseWithOgen(t *testing.T, admin *ogen.Client, learner string) {
	t.Helper()
	ctx := t.Context()
	r, err := admin.ListAwards(ctx, ogen.ListAwardsParams{Learner: learner})
	award := body[ogen.ListAwardsResult](t, r, err).Awards[0]
	revoked, err := admin.RevokeAward(ctx, &ogen.RevokeAwardReq{Reason: "a test"},
		ogen.RevokeAwardParams{Learner: learner, Award: uuid.MustParse(award.ID)})
	if got := body[ogen.Award](t, revoked, err); got.State != ogen.AwardStateREVOKED {
		t.Errorf("revoked %+v", got)
	}
	audit, err := admin.ListAuditEntries(ctx, ogen.ListAuditEntriesParams{Service: ogen.ListAuditEntriesServiceProgress})
	if got := body[ogen.ListAuditEntriesResult](t, audit, err).Entries; len(got) != 1 || got[0].Action != "AWARD_REVOKED" {
		t.Errorf("audit %+v", got)
	}
	lines, err := admin.VerifyProgress(ctx, ogen.NewOptVerifyProgressReq(ogen.VerifyProgressReq{LearnerId: ogen.NewOptString(learner)}))
	finished := false
	for scan := bufio.NewScanner(as[ogen.VerifyProgressOKHeaders](t, lines, err).Response); scan.Scan(); {
		var line struct {
			Result struct{ Status struct{ Finished bool } }
		}
		if len(scan.Bytes()) > 0 {
			if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
				t.Fatal(err)
			}
			finished = finished || line.Result.Status.Finished
		}
	}
	if !finished {
		t.Error("the verification does not finish")
	}
}

// TestOapiCodegen reads with the client that oapi-codegen generates: what was found, and what was not.
func TestOapiCodegen(t *testing.T) {
	s := start(t)
	token := s.token(t, "lee")
	c, err := oapi.NewClientWithResponses(s.url, oapi.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	me, err := c.GetLearnerWithResponse(t.Context(), "me", nil)
	if err != nil || me.JSON200 == nil || me.JSON200.Id == "" || me.JSON200.CreateTime.IsZero() {
		t.Fatalf("%v: %s", err, me.Body)
	}
	missing, err := c.GetModuleWithResponse(t.Context(), "nothing", nil)
	if err != nil || missing.ApplicationproblemJSON404 == nil || missing.ApplicationproblemJSON404.Reason != "MODULE_NOT_FOUND" {
		t.Fatalf("%v: %s", err, missing.Body)
	}
	watch(t, c)
}

// watch reads the first events of a stream; ogen's client would wait for the end of it.
func watch(t *testing.T, c *oapi.ClientWithResponses) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	last := "1000" // no log of nothing reaches this
	r, err := c.WatchProgress(ctx, "me", &oapi.WatchProgressParams{LastEventID: &last})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && data != "" {
			var got oapi.WatchProgressResult
			if err := json.Unmarshal([]byte(data), &got); err != nil || string(got.Kind) != "RESET" {
				t.Errorf("the stream begins with %s: %v", data, err)
			}
			return
		}
	}
	t.Error("the stream ended without an event")
}

// TestTypeScript runs typescript/job.ts, which has the types that openapi-typescript generates.
func TestTypeScript(t *testing.T) {
	s := start(t)
	tokens, err := json.Marshal(map[string]string{"author": s.token(t, "ann", "author"), "learner": s.token(t, "lee"), "admin": s.token(t, "ada", "admin")})
	if err != nil {
		t.Fatal(err)
	}
	job := exec.CommandContext(t.Context(), "node", "typescript/build/job.js")
	job.Env = append(os.Environ(), "PRECEPTOR_URL="+s.url, "PRECEPTOR_TOKENS="+string(tokens))
	if out, err := job.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
