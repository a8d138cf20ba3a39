package grpcapi_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

func (h *harness) cohorts() profilev1.CohortServiceClient {
	return profilev1.NewCohortServiceClient(h.server.InProcess("gateway"))
}

// TestCohortsOverTheAPI makes a cohort once, edits it, and ends it.
func TestCohortsOverTheAPI(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	root := h.as(t, "root", auth.RoleAdmin)
	create := &profilev1.CreateCohortRequest{CohortId: "all", Cohort: &profilev1.Cohort{Title: " All ", Kind: profilev1.Cohort_RULE, Rule: "true"}}
	keyed := metadata.AppendToOutgoingContext(root, "idempotency-key", "k")
	var first *profilev1.Cohort
	for i, replayed := range []string{"", "true"} {
		var header metadata.MD
		made, err := h.cohorts().CreateCohort(keyed, create, grpc.Header(&header))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(header.Get("idempotency-replayed"), ""); got != replayed || header.Get("location")[0] != "/v1/cohorts/all" || header.Get("http-status")[0] != "201" {
			t.Errorf("the headers are %v", header)
		}
		wantRevision(t, header, []string{"2", ""}[i]) // the admin is a learner by now
		if first == nil {
			first = made.GetCohort()
		}
		if !proto.Equal(made.GetCohort(), first) || first.GetTitle() != "All" || !first.GetEvaluating() {
			t.Errorf("made %v", made)
		}
	}
	if more, err := h.service.Evaluate(t.Context(), "all"); err != nil || more {
		t.Fatal(more, err)
	}
	got, err := h.cohorts().GetCohort(root, &profilev1.GetCohortRequest{CohortId: "all"})
	if err != nil || got.GetCohort().GetMemberCount() != 1 || got.GetCohort().GetEvaluating() || got.GetCohort().GetEtag() != first.GetEtag() {
		t.Errorf("got %v, %v", got, err)
	}
	update := &profilev1.UpdateCohortRequest{CohortId: "all", Cohort: &profilev1.Cohort{Title: "Everybody"}, Etag: first.GetEtag()}
	updated, err := h.cohorts().UpdateCohort(root, update)
	if err != nil || updated.GetCohort().GetTitle() != "Everybody" || updated.GetCohort().GetRule() != "true" || updated.GetCohort().GetMemberCount() != 1 {
		t.Errorf("updated %v, %v", updated, err)
	}
	_, err = h.cohorts().UpdateCohort(root, update)
	wantStatus(t, err, codes.FailedPrecondition, errs.ReasonEtagMismatch)
	_, err = h.cohorts().DeleteCohort(root, &profilev1.DeleteCohortRequest{CohortId: "all"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.cohorts().GetCohort(root, &profilev1.GetCohortRequest{CohortId: "all"})
	wantStatus(t, err, codes.NotFound, errs.ReasonCohortNotFound)
	_, err = h.cohorts().GetCohort(root, &profilev1.GetCohortRequest{CohortId: "No_Slug"})
	wantStatus(t, err, codes.InvalidArgument, errs.ReasonInvalidArgument, "cohortId")
}

// TestTheFeedHasCohorts: title and managers, and who joined and left; nothing of why.
func TestTheFeedHasCohorts(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	root := h.as(t, "root", auth.RoleAdmin)
	ana := h.me(h.as(t, "ana"), t).GetId()
	if _, err := h.cohorts().CreateCohort(root, &profilev1.CreateCohortRequest{
		CohortId: "list", Cohort: &profilev1.Cohort{Title: "List", Kind: profilev1.Cohort_STATIC, ManagerIds: []string{ana}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.cohorts().AddCohortMembers(root, &profilev1.AddCohortMembersRequest{CohortId: "list", LearnerIds: []string{strings.ToUpper(ana)}, Reason: "secret"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.cohorts().DeleteCohort(root, &profilev1.DeleteCohortRequest{CohortId: "list"}); err != nil {
		t.Fatal(err)
	}
	stream, err := profilev1.NewProfileServiceClient(h.server.InProcess("progress")).SyncChanges(t.Context(), &profilev1.SyncChangesRequest{AfterRevision: 2})
	if err != nil {
		t.Fatal(err)
	}
	var changes []*profilev1.Change
	for m, err := stream.Recv(); err == nil && m.GetChange() != nil; m, err = stream.Recv() {
		changes = append(changes, m.GetChange())
	}
	if len(changes) != 3 {
		t.Fatalf("the feed has %v", changes)
	}
	if c := changes[0].GetCohort(); c.GetId() != "list" || c.GetTitle() != "List" || len(c.GetManagerIds()) != 1 || c.GetManagerIds()[0] != ana || c.GetDeleted() {
		t.Errorf("the cohort is %v", c)
	}
	if m := changes[1].GetMembership(); m.GetLearnerId() != ana || m.GetCohortId() != "list" || !m.GetMember() || !proto.Equal(m.GetJoinTime(), changes[1].GetTime()) {
		t.Errorf("the membership is %v", m)
	}
	if !changes[2].GetCohort().GetDeleted() {
		t.Errorf("the end is %v", changes[2])
	}
	for _, c := range changes {
		if strings.Contains(c.String(), "secret") {
			t.Errorf("the feed has a reason: %v", c)
		}
	}
}
