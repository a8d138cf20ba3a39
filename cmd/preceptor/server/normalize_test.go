package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// TestNormalizedTexts compares which texts of which requests are brought into NFC with the list in
// testdata, so that a new field is on it, or is left out of it, on purpose.
func TestNormalizedTexts(t *testing.T) {
	t.Parallel()
	var lines []string
	for _, rule := range auth.Rules(protoregistry.GlobalFiles) {
		for _, field := range rpc.NormalizedFields(rule.Descriptor.Input()) {
			lines = append(lines, fmt.Sprintf("%s %s\n", strings.TrimPrefix(rule.Method, "/preceptor."), field))
		}
	}
	slices.Sort(lines)
	golden(t, "normalized.txt", strings.Join(slices.Compact(lines), ""))
}

// TestNFCByGRPC writes by gRPC what a keyboard that decomposes sends.
func TestNFCByGRPC(t *testing.T) {
	t.Parallel()
	const sent, stored = "Zoe\u0308 u\u0308bt", "Zoë übt"
	b := openBoth(t)
	as := func(subject string, roles ...auth.Role) context.Context {
		token, err := b.issuer.Mint(subject, roles, sent, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	}
	author, admin := as("author", auth.RoleAuthor), as("admin", auth.RoleAdmin, auth.RoleLearner)
	catalog, profile, progress := catalogv1.NewCatalogServiceClient(b.conn), profilev1.NewProfileServiceClient(b.conn), progressv1.NewProgressServiceClient(b.conn)

	create := &catalogv1.CreateModuleRequest{ModuleId: "zoe", Content: &catalogv1.ModuleVersion{Title: sent, Summary: sent}}
	keyed := metadata.AppendToOutgoingContext(author, "idempotency-key", "zoe")
	for _, text := range []string{sent, stored} { // the same request for the key
		create.Content.Title = text
		made, err := catalog.CreateModule(keyed, create)
		if err != nil {
			t.Fatal(err)
		}
		if made.GetModule().GetDraft().GetTitle() != stored || made.GetModule().GetDraft().GetSummary() != stored {
			t.Errorf("the module is %+q, %+q", made.GetModule().GetDraft().GetTitle(), made.GetModule().GetDraft().GetSummary())
		}
	}
	me, err := profile.GetLearner(admin, &profilev1.GetLearnerRequest{LearnerId: auth.Me})
	if err != nil || me.GetLearner().GetDisplayName() != stored {
		t.Errorf("the name of the token is stored as %+q, %v", me.GetLearner().GetDisplayName(), err)
	}
	learner := as("learner", auth.RoleLearner)
	whose, err := profile.GetLearner(learner, &profilev1.GetLearnerRequest{LearnerId: auth.Me})
	if err != nil {
		t.Fatal(err)
	}
	event := &progressv1.ProgressEvent{
		EventId: "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9fa0b1", ModuleId: "hipaa-foundations", Verb: progressv1.ProgressEvent_WAIVED,
		OccurredAt: timestamppb.New(time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)), DeviceId: sent,
	}
	for _, c := range []struct {
		reason string
		want   progressv1.EventResult_Status
	}{
		{sent, progressv1.EventResult_ACCEPTED},
		{sent, progressv1.EventResult_DUPLICATE},
		{stored, progressv1.EventResult_DUPLICATE},
		{stored + "!", progressv1.EventResult_REJECTED},
	} {
		event.Reason = c.reason
		resp, err := progress.BatchRecordEvents(admin, &progressv1.BatchRecordEventsRequest{LearnerId: whose.GetLearner().GetId(), Events: []*progressv1.ProgressEvent{event}})
		if err != nil || resp.GetResults()[0].GetStatus() != c.want {
			t.Errorf("with the reason %+q: %v, %v", c.reason, resp, err)
		}
	}
	log, err := progress.ListEvents(learner, &progressv1.ListEventsRequest{LearnerId: auth.Me})
	if err != nil || len(log.GetEvents()) != 1 || log.GetEvents()[0].GetEvent().GetReason() != stored || log.GetEvents()[0].GetEvent().GetDeviceId() != sent {
		t.Errorf("the log has %v, %v", log, err)
	}
}
