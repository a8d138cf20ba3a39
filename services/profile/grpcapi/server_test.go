package grpcapi_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
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

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/sqldb/sqldbtest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/services/profile"
	"github.com/preceptor-dev/preceptor/services/profile/clients"
	"github.com/preceptor-dev/preceptor/services/profile/grpcapi"
	"github.com/preceptor-dev/preceptor/services/profile/rule"
	"github.com/preceptor-dev/preceptor/services/profile/sqlstore"
)

// harness is the profile service behind its whole chain of interceptors, beside a catalog
// that is a function.
type harness struct {
	issuer  *auth.LocalIssuer
	server  *rpc.Server
	service *profile.Service
	catalog *fakeCatalog
}

type fakeCatalog struct {
	catalogv1.UnimplementedCatalogServiceServer

	listPaths func(context.Context, *catalogv1.ListPathsRequest) (*catalogv1.ListPathsResponse, error)
}

func (c *fakeCatalog) ListPaths(ctx context.Context, req *catalogv1.ListPathsRequest) (*catalogv1.ListPathsResponse, error) {
	return c.listPaths(ctx, req)
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{catalog: &fakeCatalog{}}
	var err error
	if h.issuer, err = auth.OpenLocalIssuer(t.TempDir(), testenv.Now); err != nil {
		t.Fatal(err)
	}
	shelf := h.newServer(t, nil, nil)
	catalogv1.RegisterCatalogServiceServer(shelf, h.catalog)
	service := profile.New(
		sqlstore.New(sqldbtest.SQLite(t, sqlstore.Migrations())),
		clients.NewCatalog(catalogv1.NewCatalogServiceClient(shelf.InProcess("profile"))),
		profile.Options{Now: testenv.Now, Rules: newRules(t)},
	)
	h.service = service
	h.server = h.newServer(t, grpcapi.NewResolver(service), grpcapi.NewManagers(service))
	api := grpcapi.NewServer(service)
	profilev1.RegisterProfileServiceServer(h.server, api)
	profilev1.RegisterCohortServiceServer(h.server, api)
	return h
}

func newRules(t *testing.T) *rule.Compiler {
	t.Helper()
	rules, err := rule.NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func (h *harness) newServer(t *testing.T, resolver auth.Resolver, managers auth.Managers) *rpc.Server {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	verifier, err := auth.NewVerifier(auth.VerifierOptions{Local: h.issuer, Logger: logger, Now: testenv.Now})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := auth.NewGuard(auth.GuardOptions{Verifier: verifier, Resolver: resolver, Managers: managers, Logger: logger, Now: testenv.Now})
	if err != nil {
		t.Fatal(err)
	}
	server, err := rpc.NewServer(rpc.Options{Logger: logger, Guard: guard, Now: testenv.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return server
}

// client calls in process, as the gateway does.
func (h *harness) client() profilev1.ProfileServiceClient {
	return profilev1.NewProfileServiceClient(h.server.InProcess("gateway"))
}

// as is the context of a call with the subject's token.
func (h *harness) as(t *testing.T, subject string, roles ...auth.Role) context.Context {
	t.Helper()
	token, err := h.issuer.Mint(subject, roles, "Ms "+subject, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
}

func (h *harness) me(ctx context.Context, t *testing.T) *profilev1.Learner {
	t.Helper()
	resp, err := h.client().GetLearner(ctx, &profilev1.GetLearnerRequest{LearnerId: "me"})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetLearner()
}

func wantStatus(t *testing.T, err error, code codes.Code, reason string, fields ...string) {
	t.Helper()
	st := status.Convert(err)
	var gotReason string
	var gotFields []string
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			gotReason = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				gotFields = append(gotFields, v.GetField())
			}
		}
	}
	if st.Code() != code || gotReason != reason || !slices.Equal(gotFields, fields) {
		t.Errorf("error %v, reason %s, fields %q; want %v, reason %s, fields %q", err, gotReason, gotFields, code, reason, fields)
	}
}

func TestMeIsMadeAtFirstSight(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	// Over a network the answers are the same.
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = h.server.Serve(lis) }()
	conn, err := rpc.Dial(lis.Addr().String(), rpc.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })

	ana := h.as(t, "ana")
	var learners []*profilev1.Learner
	for _, client := range []profilev1.ProfileServiceClient{h.client(), profilev1.NewProfileServiceClient(conn)} {
		var header metadata.MD
		resp, err := client.GetLearner(ana, &profilev1.GetLearnerRequest{LearnerId: "me"}, grpc.Header(&header))
		if err != nil {
			t.Fatal(err)
		}
		l := resp.GetLearner()
		learners = append(learners, l)
		if got, want := header.Get("etag"), []string{`"` + l.GetEtag() + `"`}; !slices.Equal(got, want) {
			t.Errorf("etag header %q, want %q", got, want)
		}
	}
	l := learners[0]
	if !proto.Equal(l, learners[1]) {
		t.Errorf("the second look found %v, the first %v", learners[1], l)
	}
	if l.GetDisplayName() != "Ms ana" || len(l.GetSubjects()) != 1 || l.GetSubjects()[0].GetSubject() != "ana" || l.GetWeeklyGoal() != nil ||
		l.GetCreateTime().AsTime().Nanosecond()%1000 != 0 || !proto.Equal(l.GetCreateTime(), l.GetUpdateTime()) {
		t.Errorf("made %v", l)
	}
	if bob := h.me(h.as(t, "bob"), t); bob.GetId() == l.GetId() {
		t.Error("two subjects are one learner")
	}
}

func TestWhoMaySeeWhom(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	client, ana, bob, admin := h.client(), h.as(t, "ana"), h.as(t, "bob"), h.as(t, "root", auth.RoleAdmin)
	id := h.me(ana, t).GetId()
	for _, own := range []string{id, strings.ToUpper(id)} {
		for _, ctx := range []context.Context{ana, admin} {
			if resp, err := client.GetLearner(ctx, &profilev1.GetLearnerRequest{LearnerId: own}); err != nil || resp.GetLearner().GetId() != id {
				t.Errorf("GetLearner(%s) answered %v, %v", own, resp, err)
			}
		}
	}
	_, err := client.GetLearner(bob, &profilev1.GetLearnerRequest{LearnerId: id})
	wantStatus(t, err, codes.PermissionDenied, errs.ReasonNotYourData)
	_, err = client.UpdateLearner(bob, &profilev1.UpdateLearnerRequest{LearnerId: id, Learner: &profilev1.Learner{DisplayName: "x"}})
	wantStatus(t, err, codes.PermissionDenied, errs.ReasonNotYourData)
	_, err = client.ListRecommendedPaths(bob, &profilev1.ListRecommendedPathsRequest{LearnerId: id})
	wantStatus(t, err, codes.PermissionDenied, errs.ReasonNotYourData)
	_, err = client.ListLearners(ana, &profilev1.ListLearnersRequest{})
	wantStatus(t, err, codes.PermissionDenied, errs.ReasonRoleRequired)
	_, err = client.CreateLearner(ana, &profilev1.CreateLearnerRequest{Learner: &profilev1.Learner{}})
	wantStatus(t, err, codes.PermissionDenied, errs.ReasonRoleRequired)
	_, err = client.GetLearner(t.Context(), &profilev1.GetLearnerRequest{LearnerId: "me"})
	wantStatus(t, err, codes.Unauthenticated, errs.ReasonTokenMissing)
	_, err = client.GetLearner(admin, &profilev1.GetLearnerRequest{LearnerId: "0190c7a4-0000-7000-8000-000000000000"})
	wantStatus(t, err, codes.NotFound, errs.ReasonLearnerNotFound)
}

func TestUpdateLearner(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	client, ana := h.client(), h.as(t, "ana")
	before := h.me(ana, t)
	update := func(ctx context.Context, change *profilev1.Learner, etag string, paths ...string) (*profilev1.Learner, error) {
		var header metadata.MD
		resp, err := client.UpdateLearner(ctx, &profilev1.UpdateLearnerRequest{
			LearnerId: "me", Learner: change, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}, Etag: etag,
		}, grpc.Header(&header))
		if err == nil && !slices.Equal(header.Get("etag"), []string{`"` + resp.GetLearner().GetEtag() + `"`}) {
			t.Errorf("etag header %q", header.Get("etag"))
		}
		return resp.GetLearner(), err
	}

	goal := &profilev1.Learner{WeeklyGoal: &profilev1.WeeklyGoal{Minutes: 90}, Background: profilev1.Learner_CLINICAL}
	after, err := update(ana, goal, before.GetEtag(), "weekly_goal.minutes", "background", "display_name")
	if err != nil {
		t.Fatal(err)
	}
	if after.GetWeeklyGoal().GetMinutes() != 90 || after.GetBackground() != profilev1.Learner_CLINICAL || after.GetDisplayName() != "" ||
		after.GetEtag() == before.GetEtag() || !proto.Equal(after, h.me(ana, t)) {
		t.Errorf("updated to %v", after)
	}
	// Without a mask the fields that are set change, and what only the service sets is passed over.
	sent := &profilev1.Learner{Id: "x", Etag: after.GetEtag(), Locale: "de", CreateTime: before.GetCreateTime()}
	if after, err = update(ana, sent, ""); err != nil || after.GetLocale() != "de" || after.GetWeeklyGoal().GetMinutes() != 90 ||
		after.GetId() != before.GetId() {
		t.Errorf("updated to %v, %v", after, err)
	}
	_, err = update(ana, &profilev1.Learner{Etag: before.GetEtag(), Locale: "fr"}, "") // but its etag is a precondition
	wantStatus(t, err, codes.FailedPrecondition, errs.ReasonEtagMismatch)
	if after, err = update(ana, nil, "", "weeklyGoal"); err != nil || after.GetWeeklyGoal() != nil {
		t.Errorf("cleared to %v, %v", after, err)
	}

	_, err = update(ana, goal, before.GetEtag(), "background")
	wantStatus(t, err, codes.FailedPrecondition, errs.ReasonEtagMismatch)
	ifMatch := func(etag string) context.Context { return metadata.AppendToOutgoingContext(ana, "if-match", etag) }
	_, err = update(ifMatch(`"`+before.GetEtag()+`"`), goal, "", "background")
	wantStatus(t, err, codes.FailedPrecondition, errs.ReasonEtagMismatch)
	if _, err = update(ifMatch(`"`+after.GetEtag()+`"`), goal, "", "weekly_goal"); err != nil {
		t.Error(err)
	}

	bad := &profilev1.Learner{Background: 7, TimeZone: "Local", WeeklyGoal: &profilev1.WeeklyGoal{Units: 1001}, DisplayName: "\xff"}
	_, err = update(ana, bad, "")
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "displayName", "timeZone", "background", "weeklyGoal.units")
	_, err = update(ana, bad, "", "displayName", "email", "weekly_goal.hours", "*")
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "updateMask", "updateMask")
	mine := &profilev1.Learner{Subjects: before.GetSubjects()}
	if _, err = update(ana, mine, "", "subjects"); err != nil { // what was read may come back
		t.Error(err)
	}
	mine.Subjects = append(mine.GetSubjects(), &profilev1.Subject{Issuer: "https://elsewhere.example", Subject: "ana"})
	_, err = update(ana, mine, "", "subjects")
	wantStatus(t, err, codes.PermissionDenied, errs.ReasonRoleRequired)
}

func TestAdminMovesASubject(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	client, admin := h.client(), h.as(t, "root", auth.RoleAdmin)
	ana, bob := h.me(h.as(t, "ana"), t), h.me(h.as(t, "bob"), t)
	set := func(l *profilev1.Learner, subjects ...*profilev1.Subject) error {
		_, err := client.UpdateLearner(admin, &profilev1.UpdateLearnerRequest{
			LearnerId: l.GetId(), Learner: &profilev1.Learner{Subjects: subjects},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"subjects"}},
		})
		return err
	}
	both := []*profilev1.Subject{bob.GetSubjects()[0], ana.GetSubjects()[0]}
	wantStatus(t, set(bob, both...), codes.AlreadyExists, errs.ReasonSubjectTaken, "subjects[1]")
	if err := set(ana); err != nil {
		t.Fatal(err)
	}
	if err := set(bob, both...); err != nil {
		t.Fatal(err)
	}
	if l := h.me(h.as(t, "ana"), t); l.GetId() != bob.GetId() {
		t.Errorf("ana signs in as %v", l)
	}
}

func TestCreateLearner(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	client, admin := h.client(), h.as(t, "root", auth.RoleAdmin)
	body := &profilev1.Learner{
		DisplayName: "Eve", Email: "eve@example.org", Background: profilev1.Learner_RESEARCH,
		Subjects: []*profilev1.Subject{{Issuer: auth.LocalIssuerName, Subject: "eve"}},
	}
	create := func(ctx context.Context, key string, body *profilev1.Learner) (*profilev1.Learner, metadata.MD, error) {
		if key != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", key)
		}
		var header metadata.MD
		resp, err := client.CreateLearner(ctx, &profilev1.CreateLearnerRequest{Learner: body}, grpc.Header(&header))
		return resp.GetLearner(), header, err
	}
	made, header, err := create(admin, "k1", body)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"http-status": "201", "location": "/v1/learners/" + made.GetId(), "etag": `"` + made.GetEtag() + `"`,
	} {
		if got := header.Get(key); !slices.Equal(got, []string{want}) {
			t.Errorf("header %s is %q, want %q", key, got, want)
		}
	}
	if eve := h.me(h.as(t, "eve"), t); !proto.Equal(eve, made) {
		t.Errorf("eve signs in as %v, want %v", eve, made)
	}

	again, headerAgain, err := create(admin, "k1", body)
	if err != nil || !proto.Equal(again, made) || !slices.Equal(headerAgain.Get("location"), header.Get("location")) {
		t.Errorf("the same key answered %v, %v, %v", again, headerAgain, err)
	}
	_, _, err = create(admin, "k1", &profilev1.Learner{DisplayName: "Else"})
	wantStatus(t, err, codes.FailedPrecondition, "IDEMPOTENCY_KEY_REUSED")
	_, _, err = create(h.as(t, "other", auth.RoleAdmin), "k1", body)
	wantStatus(t, err, codes.AlreadyExists, errs.ReasonSubjectTaken, "subjects[0]")
	_, _, err = create(admin, "", body)
	wantStatus(t, err, codes.AlreadyExists, errs.ReasonSubjectTaken, "subjects[0]")
	_, _, err = create(admin, "not one word", body)
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "Idempotency-Key")
	_, _, err = create(admin, "", &profilev1.Learner{DisplayName: strings.Repeat("x", 201), Email: "x", Subjects: []*profilev1.Subject{{}}})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "subjects[0].issuer", "subjects[0].subject", "displayName", "email")
}

func TestListLearners(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	client, admin := h.client(), h.as(t, "root", auth.RoleAdmin)
	var want []string
	for _, name := range []string{"ana", "bob", "cem"} {
		want = append(want, h.me(h.as(t, name), t).GetId())
	}
	req := &profilev1.ListLearnersRequest{Q: "ms", PageSize: 2, IncludeTotal: true}
	var got []string
	for {
		resp, err := client.ListLearners(admin, req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.TotalSize == nil || resp.GetTotalSize() != 3 {
			t.Errorf("total %v, want 3", resp.TotalSize)
		}
		for _, l := range resp.GetLearners() {
			got = append(got, l.GetId())
		}
		if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	if resp, err := client.ListLearners(admin, &profilev1.ListLearnersRequest{Q: "CEM"}); err != nil || len(resp.GetLearners()) != 1 ||
		resp.TotalSize != nil {
		t.Errorf("found %v, %v", resp, err)
	}
	byName, err := client.ListLearners(admin, &profilev1.ListLearnersRequest{OrderBy: "displayName desc", PageSize: 2})
	if err != nil || byName.GetLearners()[0].GetId() != want[2] || byName.GetLearners()[1].GetId() != want[1] {
		t.Errorf("by name, backwards: %v, %v", byName, err)
	}
	last, err := client.ListLearners(admin, &profilev1.ListLearnersRequest{OrderBy: "displayName desc", PageToken: byName.GetNextPageToken()})
	if err != nil || len(last.GetLearners()) != 1 || last.GetLearners()[0].GetId() != want[0] {
		t.Errorf("the second page: %v, %v", last, err)
	}
	_, err = client.ListLearners(admin, &profilev1.ListLearnersRequest{PageToken: byName.GetNextPageToken()})
	wantStatus(t, err, codes.InvalidArgument, errs.ReasonBadPageToken, "pageToken")
	_, err = client.ListLearners(admin, &profilev1.ListLearnersRequest{OrderBy: "email"})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "orderBy")
	_, err = client.ListLearners(admin, &profilev1.ListLearnersRequest{PageToken: "x"})
	wantStatus(t, err, codes.InvalidArgument, errs.ReasonBadPageToken, "pageToken")
	_, err = client.ListLearners(admin, &profilev1.ListLearnersRequest{PageSize: -1})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "pageSize")
}

func TestListRecommendedPaths(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	client, ana := h.client(), h.as(t, "ana")
	pages := map[string]*catalogv1.ListPathsResponse{
		"": {NextPageToken: "2", Paths: []*catalogv1.Path{
			{Id: "clinical-ai-engineer", Version: &catalogv1.PathVersion{Title: "Clinical AI Engineer", Roles: []string{"clinical-ai-engineer"}}},
		}},
		"2": {Paths: []*catalogv1.Path{
			{
				Id:      "clinical-to-ai",
				Version: &catalogv1.PathVersion{Title: "From care", Roles: []string{"clinical-ai-engineer"}, Backgrounds: []string{"CLINICAL"}},
			},
		}},
	}
	h.catalog.listPaths = func(ctx context.Context, req *catalogv1.ListPathsRequest) (*catalogv1.ListPathsResponse, error) {
		// The catalog is asked in the learner's name.
		if p, _ := auth.FromContext(ctx); p.Subject != "ana" || p.Service != "profile" {
			t.Errorf("the catalog was asked by %+v", p)
		}
		return pages[req.GetPageToken()], nil
	}
	if _, err := client.UpdateLearner(ana, &profilev1.UpdateLearnerRequest{LearnerId: "me", Learner: &profilev1.Learner{
		Background: profilev1.Learner_CLINICAL, TargetRole: "clinical-ai-engineer",
	}}); err != nil {
		t.Fatal(err)
	}
	resp, err := client.ListRecommendedPaths(ana, &profilev1.ListRecommendedPathsRequest{LearnerId: "me"})
	if err != nil {
		t.Fatal(err)
	}
	want := &profilev1.ListRecommendedPathsResponse{RecommendedPaths: []*profilev1.RecommendedPath{
		{
			PathId: "clinical-to-ai", Title: "From care", Reason: profilev1.RecommendedPath_BACKGROUND,
			Description: "It starts from your background in clinical work and leads towards your target role: clinical AI engineer.",
		},
		{
			PathId: "clinical-ai-engineer", Title: "Clinical AI Engineer", Reason: profilev1.RecommendedPath_TARGET_ROLE,
			Description: "It leads to your target role: clinical AI engineer.",
		},
	}}
	if !proto.Equal(resp, want) {
		t.Errorf("recommended %v, want %v", resp, want)
	}
	first, err := client.ListRecommendedPaths(ana, &profilev1.ListRecommendedPathsRequest{LearnerId: "me", PageSize: 1})
	if err != nil || len(first.GetRecommendedPaths()) != 1 || !proto.Equal(first.GetRecommendedPaths()[0], want.GetRecommendedPaths()[0]) {
		t.Fatalf("the first page: %v, %v", first, err)
	}
	second, err := client.ListRecommendedPaths(ana, &profilev1.ListRecommendedPathsRequest{LearnerId: "me", PageToken: first.GetNextPageToken()})
	if err != nil || len(second.GetRecommendedPaths()) != 1 || second.GetNextPageToken() != "" ||
		!proto.Equal(second.GetRecommendedPaths()[0], want.GetRecommendedPaths()[1]) {
		t.Errorf("the second page: %v, %v", second, err)
	}

	for _, fault := range []error{errors.New("broken"), status.Error(codes.Unavailable, "down"), status.Error(codes.NotFound, "what?")} {
		h.catalog.listPaths = func(context.Context, *catalogv1.ListPathsRequest) (*catalogv1.ListPathsResponse, error) {
			return nil, fault
		}
		_, err = client.ListRecommendedPaths(ana, &profilev1.ListRecommendedPathsRequest{LearnerId: "me"})
		wantStatus(t, err, codes.Unavailable, errs.ReasonUpstreamUnavailable)
	}
}

func TestResolveSubject(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	progress := profilev1.NewProfileServiceClient(h.server.InProcess("progress"))
	req := &profilev1.ResolveSubjectRequest{
		Subject:     &profilev1.Subject{Issuer: auth.LocalIssuerName, Subject: "ana"},
		DisplayName: strings.Repeat("x", 10000), Email: "a\x00@b", Locale: "de", TimeZone: "Europe/Berlin",
	}
	for range 2 {
		resp, err := progress.ResolveSubject(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		ana := h.me(h.as(t, "ana"), t)
		if resp.GetLearnerId() != ana.GetId() || resp.GetTimeZone() != "Europe/Berlin" || ana.GetDisplayName() != "" || ana.GetLocale() != "de" {
			t.Errorf("resolved %v; the learner is %v", resp, ana)
		}
		if !proto.Equal(resp.GetTimeZoneTime(), ana.GetCreateTime()) {
			t.Errorf("in the zone since %v, want %v", resp.GetTimeZoneTime(), ana.GetCreateTime())
		}
	}
	_, err := progress.ResolveSubject(t.Context(), &profilev1.ResolveSubjectRequest{})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "subject")
	_, err = h.client().ResolveSubject(h.as(t, "root", auth.RoleAdmin), req)
	wantStatus(t, err, codes.PermissionDenied, errs.ReasonRoleRequired)
}
