package auth_test

import (
	"context"
	"testing"

	"google.golang.org/protobuf/proto"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// manages are whom ada manages: by their ids. Asked for "away" it fails.
type manages map[string]bool

func (m manages) of(managerID, id string) (bool, error) {
	if id == "away" || id == eveID {
		return false, errs.New(errs.Unavailable, errs.ReasonUpstreamUnavailable, "not known")
	}
	return managerID == adaID && m[id], nil
}

func (m manages) ManagesLearner(_ context.Context, managerID, learnerID string) (bool, error) {
	return m.of(managerID, learnerID)
}

func (m manages) ManagesCohort(_ context.Context, managerID, cohortID string) (bool, error) {
	return m.of(managerID, cohortID)
}

const (
	eveID   = "01900000-0000-7000-8000-00000000e0e1"
	otherID = "01900000-0000-7000-8000-000000000001"
)

// TestManagersAreAdmittedForWhatIsTheirs: by each learner and cohort that the request names.
func TestManagersAreAdmittedForWhatIsTheirs(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(o *auth.GuardOptions) { o.Files, o.Managers = nil, manages{bobID: true, "own": true} })
	explain := func(cohort, learner string) proto.Message {
		return &profilev1.ExplainCohortMemberRequest{CohortId: cohort, LearnerId: learner}
	}
	progress := func(learner string) proto.Message { return &progressv1.GetProgressRequest{LearnerId: learner} }
	const (
		explained = profilev1.CohortService_ExplainCohortMember_FullMethodName
		cohort    = profilev1.CohortService_GetCohort_FullMethodName
		read      = progressv1.ProgressService_GetProgress_FullMethodName
	)
	for _, c := range []struct {
		what, subject, method string
		req                   proto.Message
		role                  auth.Role
		want                  string
	}{
		{"own cohort", "ada", cohort, &profilev1.GetCohortRequest{CohortId: "own"}, auth.RoleManager, ""},
		{"another's cohort", "ada", cohort, &profilev1.GetCohortRequest{CohortId: "other"}, auth.RoleManager, errs.ReasonNotYourData},
		{"no cohort", "ada", profilev1.CohortService_ListCohorts_FullMethodName, &profilev1.ListCohortsRequest{}, auth.RoleManager, ""},
		{"another manager", "bob", cohort, &profilev1.GetCohortRequest{CohortId: "own"}, auth.RoleManager, errs.ReasonNotYourData},
		{"without the role", "ada", cohort, &profilev1.GetCohortRequest{CohortId: "own"}, auth.RoleLearner, errs.ReasonRoleRequired},
		{"what is not known", "ada", cohort, &profilev1.GetCohortRequest{CohortId: "away"}, auth.RoleManager, errs.ReasonUpstreamUnavailable},
		{"a change of their cohort", "ada", profilev1.CohortService_DeleteCohort_FullMethodName, &profilev1.DeleteCohortRequest{CohortId: "own"}, auth.RoleManager, errs.ReasonRoleRequired},
		{"a member", "ada", read, progress(bobID), auth.RoleManager, ""},
		{"themselves", "ada", read, progress(auth.Me), auth.RoleManager, ""},
		{"somebody else", "ada", read, progress(otherID), auth.RoleManager, errs.ReasonNotYourData},
		{"a member, without the role", "ada", read, progress(bobID), auth.RoleLearner, errs.ReasonNotYourData},
		{"a member's events", "ada", progressv1.ProgressService_ListEvents_FullMethodName, &progressv1.ListEventsRequest{LearnerId: bobID}, auth.RoleManager, errs.ReasonNotYourData},
		{"when that is not known", "ada", read, progress(eveID), auth.RoleManager, errs.ReasonUpstreamUnavailable},
		{"a member of their cohort", "ada", explained, explain("own", bobID), auth.RoleManager, ""},
		{"a member in another's cohort", "ada", explained, explain("other", bobID), auth.RoleManager, errs.ReasonNotYourData},
		{"somebody else in their cohort", "ada", explained, explain("own", otherID), auth.RoleManager, errs.ReasonNotYourData},
		{"themselves in their cohort", "ada", explained, explain("own", auth.Me), auth.RoleManager, errs.ReasonNotYourData},
		{"an admin", "ada", explained, explain("other", otherID), auth.RoleAdmin, ""},
	} {
		err := g.unary(g.as(c.subject, c.role), c.method, "", c.req, func(context.Context) error { return nil })
		if got := errs.ReasonOf(err); got != c.want {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	without := newGuarded(t, func(o *auth.GuardOptions) { o.Files = nil })
	err := without.unary(without.as("ada", auth.RoleManager), cohort, "", &profilev1.GetCohortRequest{CohortId: "own"}, func(context.Context) error { return nil })
	if errs.ReasonOf(err) != errs.ReasonRoleRequired {
		t.Errorf("without managers: %v", err)
	}
}
