package grpcapi_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
)

func TestMandatePathVersion(t *testing.T) {
	h := newHarness(t)
	catalogtest.PublishVersions(t, h.service, 2, func() { h.clock.add(time.Hour) })
	admin, learner := h.as(t, auth.RoleAdmin), h.as(t, auth.RoleLearner)
	get := func() *catalogv1.PathVersion {
		got, err := h.GetPath(learner, &catalogv1.GetPathRequest{PathId: "way"})
		must(t, err)
		return got.GetPath().GetVersion()
	}
	want := get()
	if want.GetMandateTime() != nil {
		t.Errorf("version %v", want)
	}
	in := timestamppb.New(h.clock.now().Add(time.Hour))
	req := &catalogv1.MandatePathVersionRequest{PathId: "way", Number: 2, EffectiveTime: in, Reason: "The law changed."}
	for _, role := range []auth.Role{auth.RoleLearner, auth.RoleManager, auth.RoleAuthor} {
		_, err := h.MandatePathVersion(h.as(t, role), req)
		wantStatus(t, err, codes.PermissionDenied, "ROLE_REQUIRED")
	}
	var header metadata.MD
	done, err := h.MandatePathVersion(admin, req, grpc.Header(&header))
	must(t, err)
	want.MandateTime = in
	if got := done.GetPath(); !proto.Equal(got.GetVersion(), want) || first(header, "preceptor-catalog-revision") != "4" ||
		first(header, "etag") != `"`+got.GetEtag()+`"` {
		t.Errorf("mandated %v, %v", done, header)
	}
	again, err := h.MandatePathVersion(admin, req, grpc.Header(&header))
	if err != nil || !proto.Equal(again, done) || first(header, "preceptor-catalog-revision") != "4" {
		t.Errorf("again: %v, %v, %v", again, header, err)
	}
	if got := get(); !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	one, err := h.GetPathVersion(learner, &catalogv1.GetPathVersionRequest{PathId: "way", Number: 2})
	if err != nil || !proto.Equal(one.GetVersion(), want) {
		t.Errorf("version %v, %v", one, err)
	}
	all, err := h.ListPathVersions(learner, &catalogv1.ListPathVersionsRequest{PathId: "way"})
	if err != nil || !proto.Equal(all.GetVersions()[0], want) || all.GetVersions()[1].GetMandateTime() != nil {
		t.Errorf("versions %v, %v", all, err)
	}
	changes, err := h.ListCatalogChanges(admin, &catalogv1.ListCatalogChangesRequest{AfterRevision: 3})
	if err != nil || len(changes.GetChanges()) != 1 || changes.GetChanges()[0].GetAction() != catalogv1.CatalogChange_MANDATED ||
		changes.GetChanges()[0].GetVersion() != 2 || changes.GetChanges()[0].GetActor() != "the-admin" {
		t.Errorf("changes %v, %v", changes, err)
	}
	stream, err := catalogv1.NewCatalogServiceClient(h.server.InProcess("progress")).
		SyncCatalog(t.Context(), &catalogv1.SyncCatalogRequest{AfterRevision: 3})
	must(t, err)
	synced, err := stream.Recv()
	if err != nil || !proto.Equal(synced.GetPath().GetVersions()[1], want) {
		t.Errorf("synced %v, %v", synced, err)
	}
}

func TestMandatePathVersionRefused(t *testing.T) {
	h := newHarness(t)
	catalogtest.PublishVersions(t, h.service, 2, func() { h.clock.add(time.Hour) })
	order := func(number int32, change func(*catalogv1.MandatePathVersionRequest), pairs ...string) error {
		req := &catalogv1.MandatePathVersionRequest{PathId: "way", Number: number}
		if change != nil {
			change(req)
		}
		_, err := h.MandatePathVersion(h.as(t, auth.RoleAdmin, pairs...), req)
		return err
	}
	wantStatus(t, order(3, nil), codes.NotFound, "VERSION_NOT_FOUND")
	wantStatus(t, order(1, nil), codes.FailedPrecondition, "NOTHING_TO_MANDATE")
	wantStatus(t, order(2, nil, "if-match", `"old"`), codes.FailedPrecondition, "ETAG_MISMATCH")
	wantStatus(t, order(2, func(r *catalogv1.MandatePathVersionRequest) { r.Etag = "old" }), codes.FailedPrecondition, "ETAG_MISMATCH")
	wantStatus(t, order(2, func(r *catalogv1.MandatePathVersionRequest) { r.PathId = "nobody" }), codes.NotFound, "PATH_NOT_FOUND")
	wantStatus(t, order(2, func(r *catalogv1.MandatePathVersionRequest) {
		r.EffectiveTime = timestamppb.New(start.AddDate(-1, 0, 0))
	}),
		codes.InvalidArgument, "", "effectiveTime BAD_EFFECTIVE_TIME")
	wantStatus(t, order(2, func(r *catalogv1.MandatePathVersionRequest) {
		r.EffectiveTime = &timestamppb.Timestamp{Seconds: 1 << 60}
	}),
		codes.InvalidArgument, "", "effectiveTime OUT_OF_RANGE")
	wantStatus(t, order(2, func(r *catalogv1.MandatePathVersionRequest) { r.Reason = "\x1b[2J" }),
		codes.InvalidArgument, "", "reason CONTROL_CHARACTER")
	wantStatus(t, order(0, func(r *catalogv1.MandatePathVersionRequest) { r.Reason = strings.Repeat("x", 2001) }),
		codes.InvalidArgument, "", "number OUT_OF_RANGE", "reason TOO_LONG")
	page, err := h.service.Paths.Versions(t.Context(), "way", 0, "", true)
	must(t, err)
	for _, v := range page.Items {
		if !v.MandateTime.IsZero() {
			t.Errorf("version %d is mandatory from %s", v.Number, v.MandateTime)
		}
	}
}

func TestWithdrawMandate(t *testing.T) {
	h := newHarness(t)
	catalogtest.PublishVersions(t, h.service, 2, func() { h.clock.add(time.Hour) })
	admin := h.as(t, auth.RoleAdmin)
	want, err := h.GetPath(h.as(t, auth.RoleLearner), &catalogv1.GetPathRequest{PathId: "way"})
	must(t, err)
	_, err = h.MandatePathVersion(admin, &catalogv1.MandatePathVersionRequest{PathId: "way", Number: 2})
	must(t, err)
	req := &catalogv1.WithdrawMandateRequest{PathId: "way", Number: 2, Reason: "The wrong path."}
	for _, role := range []auth.Role{auth.RoleLearner, auth.RoleManager, auth.RoleAuthor} {
		_, err := h.WithdrawMandate(h.as(t, role), req)
		wantStatus(t, err, codes.PermissionDenied, "ROLE_REQUIRED")
	}
	_, err = h.WithdrawMandate(admin, &catalogv1.WithdrawMandateRequest{PathId: "way", Number: 2})
	wantStatus(t, err, codes.InvalidArgument, "", "reason REQUIRED")
	_, err = h.WithdrawMandate(admin, &catalogv1.WithdrawMandateRequest{PathId: "way", Number: 2, Reason: " "})
	wantStatus(t, err, codes.InvalidArgument, "", "reason REQUIRED")
	_, err = h.WithdrawMandate(h.as(t, auth.RoleAdmin, "if-match", `"old"`), req)
	wantStatus(t, err, codes.FailedPrecondition, "ETAG_MISMATCH")

	var header metadata.MD
	done, err := h.WithdrawMandate(admin, req, grpc.Header(&header))
	must(t, err)
	if got := done.GetPath(); !proto.Equal(got.GetVersion(), want.GetPath().GetVersion()) || first(header, "preceptor-catalog-revision") != "5" ||
		first(header, "etag") != `"`+got.GetEtag()+`"` || got.GetEtag() == want.GetPath().GetEtag() {
		t.Errorf("withdrawn %v, %v", done, header)
	}
	_, err = h.WithdrawMandate(admin, req)
	wantStatus(t, err, codes.FailedPrecondition, "NOT_MANDATED")
	changes, err := h.ListCatalogChanges(admin, &catalogv1.ListCatalogChangesRequest{AfterRevision: 4})
	if err != nil || len(changes.GetChanges()) != 1 || changes.GetChanges()[0].GetAction() != catalogv1.CatalogChange_MANDATE_WITHDRAWN ||
		changes.GetChanges()[0].GetVersion() != 2 || changes.GetChanges()[0].GetActor() != "the-admin" {
		t.Errorf("changes %v, %v", changes, err)
	}
	_, err = h.MandatePathVersion(admin, &catalogv1.MandatePathVersionRequest{PathId: "way", Number: 2})
	must(t, err)
	h.clock.add(time.Hour)
	_, err = h.WithdrawMandate(admin, req)
	wantStatus(t, err, codes.FailedPrecondition, "MANDATE_IN_EFFECT")
}
