package grpcapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/idem"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
	"github.com/preceptor-dev/preceptor/services/catalog/clients"
	"github.com/preceptor-dev/preceptor/services/catalog/document"
	"github.com/preceptor-dev/preceptor/services/catalog/grpcapi"
	"github.com/preceptor-dev/preceptor/services/catalog/sqlstore"
)

// harness is the service behind its whole chain of interceptors.
type harness struct {
	catalogv1.CatalogServiceClient

	service *catalog.Service
	server  *rpc.Server
	clock   *clock
	issuer  *auth.LocalIssuer
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	return newHarnessWith(t, nil)
}

// newHarnessWith returns a harness whose catalog calls progress, unless that is nil.
func newHarnessWith(t *testing.T, progress progressv1.ProgressServiceServer) *harness {
	t.Helper()
	h := &harness{}
	var err error
	h.issuer, err = auth.OpenLocalIssuer(t.TempDir(), testenv.Now)
	must(t, err)
	h.clock = &clock{t: start}
	opts := catalog.Options{Now: h.clock.now}
	if progress != nil {
		other := h.newServer(t)
		progressv1.RegisterProgressServiceServer(other, progress)
		opts.Impact = clients.NewImpact(
			progressv1.NewProgressServiceClient(other.InProcess("catalog")), slog.New(slog.NewTextHandler(t.Output(), nil)))
	}
	h.service = catalog.New(sqlstore.New(sqldbtest.SQLite(t, sqlstore.Migrations())), document.Codec{}, opts)
	h.server = h.newServer(t)
	catalogv1.RegisterCatalogServiceServer(h.server, grpcapi.NewServer(h.service, h.clock.now))
	h.CatalogServiceClient = catalogv1.NewCatalogServiceClient(h.server.InProcess("gateway"))
	return h
}

// newServer is a server with nothing on it yet.
func (h *harness) newServer(t *testing.T) *rpc.Server {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	verifier, err := auth.NewVerifier(auth.VerifierOptions{Local: h.issuer, Logger: logger, Now: testenv.Now})
	must(t, err)
	guard, err := auth.NewGuard(auth.GuardOptions{Verifier: verifier, Logger: logger, Now: testenv.Now})
	must(t, err)
	server, err := rpc.NewServer(rpc.Options{Logger: logger, Guard: guard, Now: testenv.Now, MaxRecv: 32 << 20})
	must(t, err)
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return server
}

// as is the context of a call by somebody with the role, and metadata in pairs.
func (h *harness) as(t *testing.T, role auth.Role, pairs ...string) context.Context {
	t.Helper()
	token, err := h.issuer.Mint("the-"+string(role), []auth.Role{role}, "", time.Hour)
	must(t, err)
	return metadata.AppendToOutgoingContext(t.Context(), append(pairs, "authorization", "Bearer "+token)...)
}

func wantStatus(t *testing.T, err error, code codes.Code, reason string, fields ...string) {
	t.Helper()
	st := status.Convert(err)
	got := []string{}
	gotReason := ""
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			gotReason = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				got = append(got, v.GetField()+" "+v.GetReason())
			}
		}
	}
	slices.Sort(got)
	slices.Sort(fields)
	if st.Code() != code || reason != "" && gotReason != reason || !slices.Equal(got, fields) {
		t.Errorf("%v, reason %s, fields %q; want %s, %s, %q", err, gotReason, got, code, reason, fields)
	}
}

func first(md metadata.MD, key string) string { return strings.Join(md.Get(key), ",") }

func moduleV1() *catalogv1.ModuleVersion {
	return &catalogv1.ModuleVersion{
		Topic: "hipaa", Title: "HIPAA foundations",
		Units: []*catalogv1.Unit{
			{Id: "phi", Title: "PHI", Duration: "PT20M"},
			{Id: "quiz", Title: "Check", Kind: catalogv1.Unit_QUIZ, MasteryScore: new(0.8)},
		},
	}
}

func (h *harness) create(t *testing.T, id string, content *catalogv1.ModuleVersion) *catalogv1.Module {
	t.Helper()
	resp, err := h.CreateModule(h.as(t, auth.RoleAuthor), &catalogv1.CreateModuleRequest{ModuleId: id, Content: content})
	must(t, err)
	return resp.GetModule()
}

func (h *harness) publish(t *testing.T, id string, content *catalogv1.ModuleVersion) {
	t.Helper()
	h.create(t, id, content)
	_, err := h.PublishModule(h.as(t, auth.RoleAuthor), &catalogv1.PublishModuleRequest{ModuleId: id})
	must(t, err)
}

// TestLifecycle goes with a module from draft to archive, and looks at it as an author
// and as a learner.
func TestLifecycle(t *testing.T) {
	h := newHarness(t)
	author, learner := h.as(t, auth.RoleAuthor), h.as(t, auth.RoleLearner)
	var header metadata.MD
	created, err := h.CreateModule(author, &catalogv1.CreateModuleRequest{ModuleId: "hipaa", Content: moduleV1()}, grpc.Header(&header))
	must(t, err)
	m := created.GetModule()
	if first(header, "http-status") != "201" || first(header, "location") != "/v1/modules/hipaa" || first(header, "etag") != `"`+m.GetEtag()+`"` {
		t.Errorf("header %v", header)
	}
	if m.GetState() != catalogv1.Module_DRAFT || m.GetLatestVersion() != 0 || m.GetTopic() != "hipaa" ||
		m.GetVersion() != nil || !proto.Equal(m.GetDraft(), moduleV1()) {
		t.Errorf("created %v", m)
	}
	_, err = h.CreateModule(author, &catalogv1.CreateModuleRequest{ModuleId: "hipaa", Content: moduleV1()})
	wantStatus(t, err, codes.AlreadyExists, "MODULE_EXISTS")
	_, err = h.GetModule(learner, &catalogv1.GetModuleRequest{ModuleId: "hipaa"})
	wantStatus(t, err, codes.NotFound, "MODULE_NOT_FOUND")
	_, err = h.ListModuleVersions(learner, &catalogv1.ListModuleVersionsRequest{ModuleId: "hipaa"})
	wantStatus(t, err, codes.NotFound, "MODULE_NOT_FOUND")

	published, err := h.PublishModule(author, &catalogv1.PublishModuleRequest{ModuleId: "hipaa", Etag: m.GetEtag()}, grpc.Header(&header))
	must(t, err)
	m = published.GetModule()
	v := m.GetVersion()
	if m.GetState() != catalogv1.Module_ACTIVE || m.GetLatestVersion() != 1 || m.GetDraft() != nil || v.GetNumber() != 1 ||
		v.ChangeClass != nil || v.Retake != nil ||
		v.GetDuration() != "PT20M" || v.GetUnits()[0].GetMoveOn() != catalogv1.Unit_COMPLETED ||
		v.GetUnits()[0].Required == nil || v.GetUnits()[0].GetWeight() != 1 ||
		v.GetUnits()[1].GetMoveOn() != catalogv1.Unit_PASSED || !v.GetPublishTime().AsTime().Equal(start) || !v.GetEffectiveTime().AsTime().Equal(start) {
		t.Errorf("published %v", m)
	}
	if first(header, "preceptor-catalog-revision") != "1" {
		t.Errorf("header %v", header)
	}

	edited, err := h.UpdateModule(author, &catalogv1.UpdateModuleRequest{ModuleId: "hipaa", Content: &catalogv1.ModuleVersion{Title: "Another"}})
	must(t, err)
	if edited.GetModule().GetEtag() == m.GetEtag() || edited.GetModule().GetDraft().GetTitle() != "Another" || len(edited.GetModule().GetDraft().GetUnits()) != 2 {
		t.Errorf("edited %v", edited)
	}
	var authors, learners metadata.MD
	seen, err := h.GetModule(author, &catalogv1.GetModuleRequest{ModuleId: "hipaa"}, grpc.Header(&authors))
	must(t, err)
	if seen.GetModule().GetDraft().GetTitle() != "Another" {
		t.Errorf("an author sees %v", seen)
	}
	seen, err = h.GetModule(learner, &catalogv1.GetModuleRequest{ModuleId: "hipaa"}, grpc.Header(&learners))
	must(t, err)
	if seen.GetModule().GetDraft() != nil || seen.GetModule().GetVersion().GetTitle() != "HIPAA foundations" {
		t.Errorf("a learner sees %v", seen)
	}
	if first(authors, "etag") == first(learners, "etag") {
		t.Error("what differs has one etag")
	}

	in := timestamppb.New(start.Add(time.Hour))
	archived, err := h.ArchiveModule(author, &catalogv1.ArchiveModuleRequest{ModuleId: "hipaa", SunsetTime: in}, grpc.Header(&header))
	must(t, err)
	if a := archived.GetModule(); a.GetState() != catalogv1.Module_ARCHIVED || !a.GetArchiveTime().AsTime().Equal(start) ||
		!proto.Equal(a.GetSunsetTime(), in) || first(header, "preceptor-catalog-revision") != "2" {
		t.Errorf("archived %v, %v", a, header)
	}
	restored, err := h.RestoreModule(author, &catalogv1.RestoreModuleRequest{ModuleId: "hipaa", Etag: archived.GetModule().GetEtag()})
	must(t, err)
	if r := restored.GetModule(); r.GetState() != catalogv1.Module_ACTIVE || r.GetArchiveTime() != nil || r.GetSunsetTime() != nil {
		t.Errorf("restored %v", r)
	}
}

func TestPathLifecycle(t *testing.T) {
	h := newHarness(t)
	author := h.as(t, auth.RoleAuthor)
	h.publish(t, "a", moduleV1())
	content := &catalogv1.PathVersion{Title: "Way", Backgrounds: []string{"AI"}, Milestones: []*catalogv1.Milestone{
		{Id: "all", Title: "All", Groups: []*catalogv1.ModuleGroup{{ModuleIds: []string{"a"}, RequiredCount: proto.Int32(1)}}},
	}}
	var header metadata.MD
	created, err := h.CreatePath(author, &catalogv1.CreatePathRequest{PathId: "way", Content: content}, grpc.Header(&header))
	must(t, err)
	if first(header, "http-status") != "201" || first(header, "location") != "/v1/paths/way" || !proto.Equal(created.GetPath().GetDraft(), content) {
		t.Errorf("created %v, %v", created, header)
	}
	_, err = h.CreatePath(author, &catalogv1.CreatePathRequest{PathId: "way", Content: content})
	wantStatus(t, err, codes.AlreadyExists, "PATH_EXISTS")
	published, err := h.PublishPath(author, &catalogv1.PublishPathRequest{PathId: "way"}, grpc.Header(&header))
	must(t, err)
	if v := published.GetPath().GetVersion(); v.GetNumber() != 1 || len(v.GetContentHash()) != 64 ||
		v.GetMilestones()[0].GetGroups()[0].GetRequiredCount() != 1 ||
		first(header, "preceptor-catalog-revision") != "2" {
		t.Errorf("published %v, %v", published, header)
	}
	_, err = h.UpdatePath(author, &catalogv1.UpdatePathRequest{PathId: "way", Content: &catalogv1.PathVersion{Summary: "To go"}})
	must(t, err)
	preview, err := h.PreviewPath(author, &catalogv1.PreviewPathRequest{PathId: "way"})
	if err != nil || len(preview.GetViolations()) > 0 {
		t.Errorf("preview %v, %v", preview, err)
	}
	_, err = h.PublishPath(author, &catalogv1.PublishPathRequest{PathId: "way"})
	must(t, err)
	versions, err := h.ListPathVersions(h.as(t, auth.RoleLearner), &catalogv1.ListPathVersionsRequest{PathId: "way"})
	if err != nil || len(versions.GetVersions()) != 2 || versions.GetVersions()[0].GetNumber() != 2 {
		t.Errorf("versions %v, %v", versions, err)
	}
	one, err := h.GetPathVersion(h.as(t, auth.RoleLearner), &catalogv1.GetPathVersionRequest{PathId: "way", Number: 1})
	if err != nil || one.GetVersion().GetSummary() != "" {
		t.Errorf("version %v, %v", one, err)
	}
	_, err = h.GetPathVersion(author, &catalogv1.GetPathVersionRequest{PathId: "way", Number: 3})
	wantStatus(t, err, codes.NotFound, "VERSION_NOT_FOUND")
	_, err = h.ArchivePath(author, &catalogv1.ArchivePathRequest{PathId: "way"})
	must(t, err)
	found, err := h.ListPaths(author, &catalogv1.ListPathsRequest{})
	if err != nil || len(found.GetPaths()) != 0 {
		t.Errorf("listed %v, %v", found, err)
	}
	restored, err := h.RestorePath(author, &catalogv1.RestorePathRequest{PathId: "way"})
	if err != nil || restored.GetPath().GetState() != catalogv1.Module_ACTIVE {
		t.Errorf("restored %v, %v", restored, err)
	}
	got, err := h.GetPath(h.as(t, auth.RoleLearner), &catalogv1.GetPathRequest{PathId: "way"})
	if err != nil || got.GetPath().GetLatestVersion() != 2 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestIdempotentCreate(t *testing.T) {
	h := newHarness(t)
	author := h.as(t, auth.RoleAuthor, "idempotency-key", "k1")
	req := &catalogv1.CreateModuleRequest{ModuleId: "a", Content: moduleV1()}
	one, err := h.CreateModule(author, req)
	must(t, err)
	_, err = h.UpdateModule(author, &catalogv1.UpdateModuleRequest{ModuleId: "a", Content: &catalogv1.ModuleVersion{Title: "Since then"}})
	must(t, err)
	var header metadata.MD
	again, err := h.CreateModule(author, req, grpc.Header(&header))
	if err != nil || !proto.Equal(one, again) || first(header, "http-status") != "201" {
		t.Errorf("again: %v, %v, %v", again, err, header)
	}
	_, err = h.CreateModule(author, &catalogv1.CreateModuleRequest{ModuleId: "b", Content: moduleV1()})
	wantStatus(t, err, codes.FailedPrecondition, errs.ReasonIdempotencyKeyReused)
	_, err = h.CreateModule(h.as(t, auth.RoleAdmin, "idempotency-key", "k1"), &catalogv1.CreateModuleRequest{ModuleId: "b", Content: moduleV1()})
	must(t, err)
	h.clock.add(idem.TTL)
	_, err = h.CreateModule(author, req)
	wantStatus(t, err, codes.AlreadyExists, "MODULE_EXISTS")
	_, err = h.CreateModule(h.as(t, auth.RoleAuthor, "idempotency-key", "a b"), &catalogv1.CreateModuleRequest{ModuleId: "c", Content: moduleV1()})
	wantStatus(t, err, codes.InvalidArgument, "", "Idempotency-Key IDEMPOTENCY_KEY_INVALID")
}

func TestEtags(t *testing.T) {
	h := newHarness(t)
	etag := h.create(t, "a", moduleV1()).GetEtag()
	edit := func(title, ifMatch, field string) (*catalogv1.UpdateModuleResponse, error) {
		ctx := h.as(t, auth.RoleAuthor)
		if ifMatch != "" {
			ctx = h.as(t, auth.RoleAuthor, "if-match", ifMatch)
		}
		return h.UpdateModule(ctx, &catalogv1.UpdateModuleRequest{ModuleId: "a", Etag: field, Content: &catalogv1.ModuleVersion{Title: title}})
	}
	for _, stale := range [][2]string{{`"old"`, ""}, {"", "old"}, {`"` + etag + `"`, "old"}, {"old", etag}, {`"` + etag + `-published"`, ""}} {
		_, err := edit("x", stale[0], stale[1])
		wantStatus(t, err, codes.FailedPrecondition, "ETAG_MISMATCH")
	}
	for i, form := range []string{"%s", `"%s"`, `W/"%s"`, `"other", "%s"`} {
		resp, err := edit(fmt.Sprint("title ", i), fmt.Sprintf(form, etag), etag)
		must(t, err)
		if resp.GetModule().GetEtag() == etag {
			t.Error("an edit left the etag")
		}
		etag = resp.GetModule().GetEtag()
	}
	same, err := edit("title 3", "*", "")
	if err != nil || same.GetModule().GetEtag() != etag {
		t.Errorf("an edit of nothing: %v, %v", same, err)
	}
	for name, call := range map[string]func() error{
		"publish": func() error {
			_, err := h.PublishModule(h.as(t, auth.RoleAuthor, "if-match", "old"), &catalogv1.PublishModuleRequest{ModuleId: "a"})
			return err
		},
		"archive": func() error {
			_, err := h.ArchiveModule(h.as(t, auth.RoleAuthor), &catalogv1.ArchiveModuleRequest{ModuleId: "a", Etag: "old"})
			return err
		},
		"restore": func() error {
			_, err := h.RestoreModule(h.as(t, auth.RoleAuthor), &catalogv1.RestoreModuleRequest{ModuleId: "a", Etag: "old"})
			return err
		},
	} {
		t.Log(name)
		wantStatus(t, call(), codes.FailedPrecondition, "ETAG_MISMATCH")
	}
}

func TestPatch(t *testing.T) {
	h := newHarness(t)
	base := moduleV1()
	base.CurrencyPolicy = &catalogv1.CurrencyPolicy{Period: "P1Y", Grace: "P30D", Basis: catalogv1.CurrencyPolicy_PRIOR_EXPIRY}
	base.Roles = []string{"nlp"}
	h.publish(t, "a", base)
	patch := func(content *catalogv1.ModuleVersion, paths ...string) (*catalogv1.ModuleVersion, error) {
		resp, err := h.UpdateModule(h.as(t, auth.RoleAuthor), &catalogv1.UpdateModuleRequest{
			ModuleId: "a", Content: content, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
		})
		return resp.GetModule().GetDraft(), err
	}
	policy := &catalogv1.CurrencyPolicy{Period: "P2Y", Window: "P1D"}
	draft, err := patch(&catalogv1.ModuleVersion{CurrencyPolicy: policy}, "currency_policy.period", "currency_policy.grace")
	must(t, err)
	want := base
	want.CurrencyPolicy.Period, want.CurrencyPolicy.Grace = "P2Y", ""
	if !proto.Equal(draft, want) {
		t.Errorf("draft\n%v, want\n%v", draft, want)
	}
	read, err := h.GetModuleVersion(h.as(t, auth.RoleAuthor), &catalogv1.GetModuleVersionRequest{ModuleId: "a", Number: 1})
	must(t, err)
	back := read.GetVersion() // all of it, and what nobody may set
	back.Title, back.ContentHash = "Sent back", new("mine")
	draft, err = patch(back)
	if err != nil || draft.GetTitle() != "Sent back" || draft.ContentHash != nil || draft.Number != nil || draft.GetCurrencyPolicy().GetPeriod() != "P1Y" {
		t.Errorf("draft %v, %v", draft, err)
	}
	draft, err = patch(&catalogv1.ModuleVersion{}, "roles", "currency_policy", "units")
	if err != nil || len(draft.GetRoles()) > 0 || draft.GetCurrencyPolicy() != nil || len(draft.GetUnits()) > 0 {
		t.Errorf("draft %v, %v", draft, err)
	}
	_, err = patch(&catalogv1.ModuleVersion{}, "title", "tittle", "units.id", "currencyPolicy.x", "title.x", "contentHash")
	wantStatus(t, err, codes.InvalidArgument, "", "updateMask UNKNOWN_FIELD", "updateMask UNKNOWN_FIELD", "updateMask UNKNOWN_FIELD",
		"updateMask UNKNOWN_FIELD", "updateMask NOT_SETTABLE")
	_, err = patch(&catalogv1.ModuleVersion{
		Title: strings.Repeat("x", 201), Summary: "a\x00b\x07", Units: []*catalogv1.Unit{{Id: "", Kind: 99, Weight: new(-1.0)}},
	}, "title", "summary", "units")
	wantStatus(t, err, codes.InvalidArgument, "", "title TOO_LONG", "summary NUL_CHARACTER", "summary CONTROL_CHARACTER",
		"units[0].id REQUIRED", "units[0].kind UNKNOWN_VALUE", "units[0].weight OUT_OF_RANGE")
	draft, err = patch(&catalogv1.ModuleVersion{Title: "Only"}, "*")
	if err != nil || !proto.Equal(draft, &catalogv1.ModuleVersion{Title: "Only"}) {
		t.Errorf("draft %v, %v", draft, err)
	}
	_, err = h.UpdateModule(h.as(t, auth.RoleAuthor), &catalogv1.UpdateModuleRequest{ModuleId: "nobody", Content: base})
	wantStatus(t, err, codes.NotFound, "MODULE_NOT_FOUND")
}

func TestPublishNamesAll(t *testing.T) {
	h := newHarness(t)
	h.create(t, "a", &catalogv1.ModuleVersion{Prerequisites: []string{"nobody"}})
	past := timestamppb.New(start.AddDate(-1, 0, 0))
	_, err := h.PublishModule(h.as(t, auth.RoleAuthor), &catalogv1.PublishModuleRequest{ModuleId: "a", EffectiveTime: past})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT",
		"title MISSING_TITLE", "units NO_REQUIRED_UNIT", "prerequisites[0] UNKNOWN_MODULE", "effectiveTime BAD_EFFECTIVE_TIME")
	_, err = h.PublishModule(h.as(t, auth.RoleAuthor), &catalogv1.PublishModuleRequest{ModuleId: "a", EffectiveTime: &timestamppb.Timestamp{Seconds: 1 << 60}})
	wantStatus(t, err, codes.InvalidArgument, "", "effectiveTime OUT_OF_RANGE")
	preview, err := h.PreviewModule(h.as(t, auth.RoleAuthor), &catalogv1.PreviewModuleRequest{ModuleId: "a"})
	if err != nil || len(preview.GetViolations()) != 3 || preview.GetViolations()[0].GetReason() != "MISSING_TITLE" {
		t.Errorf("preview %v, %v", preview, err)
	}
}

func TestPages(t *testing.T) {
	h := newHarness(t)
	learner := h.as(t, auth.RoleLearner)
	for i := range 7 {
		h.publish(t, fmt.Sprintf("m%d", i*10), moduleV1())
	}
	var got []string
	req := &catalogv1.ListModulesRequest{PageSize: 3, Topic: "hipaa", IncludeTotal: true}
	for {
		page, err := h.ListModules(learner, req)
		must(t, err)
		for _, m := range page.GetModules() {
			got = append(got, m.GetId())
		}
		if page.GetTotalSize() < 7 {
			t.Errorf("total %d", page.GetTotalSize())
		}
		if page.GetNextPageToken() == "" {
			break
		}
		req.PageToken = page.GetNextPageToken()
		// One before the place reached, and one after: only that may come.
		h.publish(t, fmt.Sprintf("m%d0-before", 0)+fmt.Sprint(len(got)), moduleV1())
	}
	if want := []string{"m0", "m10", "m20", "m30", "m40", "m50", "m60"}; !slices.Equal(got, want) {
		t.Errorf("paged %v, want %v", got, want)
	}
	for _, bad := range []*catalogv1.ListModulesRequest{
		{PageToken: req.GetPageToken()},
		{PageToken: req.GetPageToken(), Topic: "hipaa", Q: "x"},
		{PageToken: "garbage!", Topic: "hipaa"},
		{PageToken: req.GetPageToken() + "AA", Topic: "hipaa"},
		{PageToken: req.GetPageToken()[:8], Topic: "hipaa"},
	} {
		_, err := h.ListModules(learner, bad)
		wantStatus(t, err, codes.InvalidArgument, "BAD_PAGE_TOKEN", "pageToken BAD_PAGE_TOKEN")
	}
	_, err := h.ListPaths(learner, &catalogv1.ListPathsRequest{PageToken: req.GetPageToken()})
	wantStatus(t, err, codes.InvalidArgument, "BAD_PAGE_TOKEN", "pageToken BAD_PAGE_TOKEN")
	none, err := h.ListModules(learner, &catalogv1.ListModulesRequest{Q: "nothing like it"})
	if err != nil || len(none.GetModules()) != 0 || none.TotalSize != nil {
		t.Errorf("found %v, %v", none, err)
	}
}

func TestPageSizes(t *testing.T) {
	h := newHarness(t)
	ctx := t.Context()
	var files strings.Builder
	files.WriteString("modules:\n")
	for i := range 210 {
		fmt.Fprintf(&files, "- {id: m%03d, title: M, units: [{id: u}]}\n", i)
	}
	_, err := h.service.Import(ctx, []catalog.File{{Name: "a.yaml", Content: files.String()}}, catalog.ImportOptions{})
	must(t, err)
	for asked, want := range map[int32]int{0: 50, 1: 1, 200: 200, 100000: 200} {
		page, err := h.ListModules(h.as(t, auth.RoleLearner), &catalogv1.ListModulesRequest{PageSize: asked})
		if err != nil || len(page.GetModules()) != want {
			t.Errorf("asked for %d: %d, %v", asked, len(page.GetModules()), err)
		}
	}
}

func TestVersionPages(t *testing.T) {
	h := newHarness(t)
	for i := range 5 {
		content := catalogtest.Module()
		content.Summary = fmt.Sprint(i)
		catalogtest.Publish(t, h.service.Modules, "a", content, catalog.Publication{ChangeClass: catalog.ClassEditorial})
	}
	h.publish(t, "b", moduleV1())
	var numbers []int32
	req := &catalogv1.ListModuleVersionsRequest{ModuleId: "a", PageSize: 2}
	for {
		page, err := h.ListModuleVersions(h.as(t, auth.RoleLearner), req)
		must(t, err)
		for _, v := range page.GetVersions() {
			numbers = append(numbers, v.GetNumber())
		}
		if page.GetNextPageToken() == "" {
			break
		}
		req.PageToken = page.GetNextPageToken()
	}
	if !slices.Equal(numbers, []int32{5, 4, 3, 2, 1}) {
		t.Errorf("versions %v", numbers)
	}
	_, err := h.ListModuleVersions(h.as(t, auth.RoleLearner), &catalogv1.ListModuleVersionsRequest{ModuleId: "b", PageToken: req.GetPageToken()})
	wantStatus(t, err, codes.InvalidArgument, "BAD_PAGE_TOKEN", "pageToken BAD_PAGE_TOKEN")
}

func TestListStates(t *testing.T) {
	h := newHarness(t)
	h.publish(t, "active", moduleV1())
	h.create(t, "unborn", moduleV1())
	_, err := h.UpdateModule(h.as(t, auth.RoleAuthor), &catalogv1.UpdateModuleRequest{ModuleId: "active", Content: &catalogv1.ModuleVersion{Title: "x"}})
	must(t, err)
	for _, state := range []catalogv1.Module_State{catalogv1.Module_DRAFT, catalogv1.Module_ARCHIVED} {
		_, err := h.ListModules(h.as(t, auth.RoleLearner), &catalogv1.ListModulesRequest{State: state})
		wantStatus(t, err, codes.PermissionDenied, "ROLE_REQUIRED")
		_, err = h.ListPaths(h.as(t, auth.RoleManager), &catalogv1.ListPathsRequest{State: state})
		wantStatus(t, err, codes.PermissionDenied, "ROLE_REQUIRED")
	}
	drafts, err := h.ListModules(h.as(t, auth.RoleAdmin), &catalogv1.ListModulesRequest{State: catalogv1.Module_DRAFT})
	if err != nil || len(drafts.GetModules()) != 2 {
		t.Errorf("drafts %v, %v", drafts, err)
	}
	active, err := h.ListModules(h.as(t, auth.RoleManager), &catalogv1.ListModulesRequest{})
	if err != nil || len(active.GetModules()) != 1 || active.GetModules()[0].GetDraft() != nil {
		t.Errorf("active %v, %v", active, err)
	}
	var authors, learners, again metadata.MD
	_, err = h.ListModules(h.as(t, auth.RoleAuthor), &catalogv1.ListModulesRequest{}, grpc.Header(&authors))
	must(t, err)
	_, err = h.ListModules(h.as(t, auth.RoleLearner), &catalogv1.ListModulesRequest{}, grpc.Header(&learners))
	must(t, err)
	_, err = h.ListModules(h.as(t, auth.RoleLearner), &catalogv1.ListModulesRequest{}, grpc.Header(&again))
	must(t, err)
	if first(authors, "etag") == first(learners, "etag") || first(learners, "etag") != first(again, "etag") || first(again, "etag") == "" {
		t.Errorf("etags %v, %v, %v", authors, learners, again)
	}
	topics, err := h.ListTopics(h.as(t, auth.RoleLearner), &catalogv1.ListTopicsRequest{})
	if err != nil || len(topics.GetTopics()) != 1 || topics.GetTopics()[0].GetModuleCount() != 1 {
		t.Errorf("topics %v, %v", topics, err)
	}
}

func TestRoles(t *testing.T) {
	h := newHarness(t)
	learner := h.as(t, auth.RoleLearner)
	_, err := h.CreateModule(learner, &catalogv1.CreateModuleRequest{ModuleId: "a", Content: moduleV1()})
	wantStatus(t, err, codes.PermissionDenied, "ROLE_REQUIRED")
	_, err = h.ImportCatalog(learner, &catalogv1.ImportCatalogRequest{Files: []*catalogv1.ImportCatalogRequest_File{{Name: "a"}}})
	wantStatus(t, err, codes.PermissionDenied, "ROLE_REQUIRED")
	_, err = h.ListTopics(t.Context(), &catalogv1.ListTopicsRequest{})
	wantStatus(t, err, codes.Unauthenticated, "TOKEN_MISSING")
	stream, err := h.SyncCatalog(h.as(t, auth.RoleAdmin), &catalogv1.SyncCatalogRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	wantStatus(t, err, codes.PermissionDenied, "ROLE_REQUIRED")
}

func TestCatalogAsCode(t *testing.T) {
	h := newHarness(t)
	author := h.as(t, auth.RoleAuthor)
	send := func(dry bool, content string) (*catalogv1.ImportCatalogResponse, metadata.MD, error) {
		var header metadata.MD
		resp, err := h.ImportCatalog(author, &catalogv1.ImportCatalogRequest{
			Files: []*catalogv1.ImportCatalogRequest_File{{Name: "a.yaml", Content: content}}, DryRun: dry,
		}, grpc.Header(&header))
		return resp, header, err
	}
	resp, header, err := send(true, catalogtest.TwoModules)
	if err != nil || resp.GetRevision() != 0 || len(resp.GetChanges()) != 3 || first(header, "preceptor-catalog-revision") != "" {
		t.Errorf("a dry run: %v, %v, %v", resp, header, err)
	}
	resp, header, err = send(false, catalogtest.TwoModules)
	if err != nil || resp.GetRevision() != 3 || first(header, "preceptor-catalog-revision") != "3" {
		t.Errorf("imported: %v, %v, %v", resp, header, err)
	}
	if c := resp.GetChanges()[2]; c.GetKind() != catalogv1.ImportChange_PATH || c.GetId() != "way" || c.GetVersion() != 1 || c.ChangeClass != nil {
		t.Errorf("change %v", c)
	}
	_, _, err = send(false, "modules:\n- id: x\n  moveOn: 1\n")
	wantStatus(t, err, codes.InvalidArgument, "",
		"a.yaml:3:3 modules[0].moveOn UNKNOWN_FIELD", "a.yaml:2:3 modules[0].title MISSING_TITLE", "a.yaml:2:3 modules[0].units NO_REQUIRED_UNIT")

	for _, format := range []catalogv1.ExportCatalogRequest_Format{catalogv1.ExportCatalogRequest_YAML, catalogv1.ExportCatalogRequest_JSON} {
		stream, err := h.ExportCatalog(author, &catalogv1.ExportCatalogRequest{Format: format})
		must(t, err)
		var text strings.Builder
		for {
			chunk, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			text.Write(chunk.GetChunk())
		}
		resp, _, err = send(false, text.String())
		if err != nil || resp.GetUnchangedCount() != 3 || len(resp.GetChanges()) != 0 {
			t.Errorf("its own export: %v, %v\n%s", resp, err, text.String())
		}
	}

	changes, err := h.ListCatalogChanges(author, &catalogv1.ListCatalogChangesRequest{AfterRevision: 1, PageSize: 1})
	if err != nil || changes.GetRevision() != 3 || len(changes.GetChanges()) != 1 {
		t.Fatalf("changes %v, %v", changes, err)
	}
	if c := changes.GetChanges()[0]; c.GetRevision() != 2 || c.GetId() != "second" || c.GetKind() != catalogv1.CatalogChange_MODULE ||
		c.GetAction() != catalogv1.CatalogChange_PUBLISHED || c.GetActor() != "the-author" || c.GetVersion() != 1 {
		t.Errorf("change %v", c)
	}
}

// TestChangesForAll proves that everybody can follow what is published, and that only editors read who
// published it.
func TestChangesForAll(t *testing.T) {
	h := newHarness(t)
	author := h.as(t, auth.RoleAuthor)
	h.create(t, "unborn", moduleV1())
	h.create(t, "a", moduleV1())
	_, err := h.PublishModule(author, &catalogv1.PublishModuleRequest{ModuleId: "a"})
	must(t, err)
	_, err = h.ArchiveModule(author, &catalogv1.ArchiveModuleRequest{ModuleId: "a"})
	must(t, err)
	for role, actor := range map[auth.Role]string{auth.RoleLearner: "", auth.RoleManager: "", auth.RoleAuthor: "the-author", auth.RoleAdmin: "the-author"} {
		resp, err := h.ListCatalogChanges(h.as(t, role), &catalogv1.ListCatalogChangesRequest{})
		must(t, err)
		var seen []string
		for _, c := range resp.GetChanges() {
			if seen = append(seen, c.GetAction().String()+" "+c.GetId()); c.GetActor() != actor {
				t.Errorf("%s reads that %q did it, want %q", role, c.GetActor(), actor)
			}
		}
		if !slices.Equal(seen, []string{"PUBLISHED a", "ARCHIVED a"}) || resp.GetRevision() != 2 {
			t.Errorf("%s reads %v", role, resp)
		}
	}
}

// TestSync follows the catalog as progress does.
func TestSync(t *testing.T) {
	h := newHarness(t)
	progress := catalogv1.NewCatalogServiceClient(h.server.InProcess("progress"))
	sync := func(after int64) (names []string, revision int64) {
		stream, err := progress.SyncCatalog(t.Context(), &catalogv1.SyncCatalogRequest{AfterRevision: after})
		must(t, err)
		for {
			resp, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return names, revision
			}
			must(t, err)
			if revision != 0 {
				t.Error("something follows the revision")
			}
			switch {
			case resp.GetModule() != nil:
				names = append(names, fmt.Sprintf("%s %s %d", resp.GetModule().GetId(), resp.GetModule().GetState(), len(resp.GetModule().GetVersions())))
			case resp.GetPath() != nil:
				names = append(names, fmt.Sprintf("%s %s %d", resp.GetPath().GetId(), resp.GetPath().GetState(), len(resp.GetPath().GetVersions())))
			default:
				revision = resp.GetRevision()
			}
		}
	}
	catalogtest.Publish(t, h.service.Modules, "a", catalogtest.Module(), catalog.Publication{})
	catalogtest.Publish(t, h.service.Paths, "p", catalogtest.Path("a"), catalog.Publication{})
	catalogtest.Draft(t, h.service.Modules, "unborn", catalogtest.Module())
	if names, revision := sync(0); !slices.Equal(names, []string{"a ACTIVE 1", "p ACTIVE 1"}) || revision != 2 {
		t.Errorf("synced %v to %d", names, revision)
	}
	_, err := h.ArchiveModule(h.as(t, auth.RoleAuthor), &catalogv1.ArchiveModuleRequest{ModuleId: "a"})
	must(t, err)
	if names, revision := sync(2); !slices.Equal(names, []string{"a ARCHIVED 1"}) || revision != 3 {
		t.Errorf("synced %v to %d", names, revision)
	}
	if names, revision := sync(3); len(names) != 0 || revision != 3 {
		t.Errorf("synced %v to %d", names, revision)
	}
}
