package server

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
)

// TestReplaysAreMarked sends each create twice with one key: the second response, and only that, is marked.
func TestReplaysAreMarked(t *testing.T) {
	t.Parallel()
	p := openAll(t)
	issuer, err := auth.OpenLocalIssuer(p.cfg.Data, p.now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := issuer.Mint("replays", []auth.Role{auth.RoleAdmin, auth.RoleAuthor, auth.RoleLearner}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	requests := map[string]proto.Message{
		catalogv1.CatalogService_CreateModule_FullMethodName: &catalogv1.CreateModuleRequest{ModuleId: "a", Content: &catalogv1.ModuleVersion{Title: "A"}},
		catalogv1.CatalogService_CreatePath_FullMethodName:   &catalogv1.CreatePathRequest{PathId: "a", Content: &catalogv1.PathVersion{Title: "A"}},
		profilev1.ProfileService_CreateLearner_FullMethodName: &profilev1.CreateLearnerRequest{
			Learner: &profilev1.Learner{DisplayName: "Ada", TimeZone: "Europe/Berlin"},
		},
		profilev1.CohortService_CreateCohort_FullMethodName: &profilev1.CreateCohortRequest{
			CohortId: "a", Cohort: &profilev1.Cohort{Title: "A", Kind: profilev1.Cohort_RULE, Rule: "true"},
		},
		progressv1.ProgressService_CreateEnrollment_FullMethodName: &progressv1.CreateEnrollmentRequest{LearnerId: auth.Me, PathId: "clinical-ai-engineer"},
	}
	for _, rule := range auth.Rules(protoregistry.GlobalFiles) {
		if !rule.Access.GetIdempotentCreate() {
			continue
		}
		req := requests[rule.Method]
		if req == nil {
			t.Errorf("%s has no request here", rule.Method)
			continue
		}
		conn := p.find(serviceOf(rule)).server.InProcess(Gateway)
		for _, want := range [][]string{nil, {"true"}, {"true"}} {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token, "idempotency-key", "k")
			var header metadata.MD
			err := conn.Invoke(ctx, rule.Method, proto.Clone(req), message(t, rule.Descriptor.Output()), grpc.Header(&header))
			if got := header.Get("idempotency-replayed"); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q; %v", rule.Method, got, want, err)
			}
		}
	}
}
