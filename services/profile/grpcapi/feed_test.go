package grpcapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// sync reads the feed to its end, as progress does.
func (h *harness) sync(ctx context.Context, after int64) (zones map[string]string, revision int64, err error) {
	client := profilev1.NewProfileServiceClient(h.server.InProcess("progress"))
	stream, err := client.SyncChanges(ctx, &profilev1.SyncChangesRequest{AfterRevision: after})
	if err != nil {
		return nil, 0, err
	}
	zones = map[string]string{}
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return zones, revision, nil
		case err != nil:
			return nil, 0, err
		case revision != 0:
			return nil, 0, fmt.Errorf("after the revision came %v", m)
		case m.GetChange() != nil:
			learner := m.GetChange().GetLearner()
			zones[learner.GetId()] = learner.GetTimeZone()
		default:
			revision = m.GetRevision()
		}
	}
}

func (h *harness) wantFeed(t *testing.T, after, revision int64, want map[string]string) {
	t.Helper()
	zones, got, err := h.sync(t.Context(), after)
	if err != nil || got != revision || !maps.Equal(zones, want) {
		t.Errorf("after %d the feed tells %v, %d, %v, want %v, %d", after, zones, got, err, want, revision)
	}
}

func wantRevision(t *testing.T, header metadata.MD, want string) {
	t.Helper()
	got := ""
	if values := header.Get("preceptor-profile-revision"); len(values) > 0 {
		got = values[0]
	}
	if got != want {
		t.Errorf("the header tells revision %q, want %q", got, want)
	}
}

// TestSyncChanges follows two learners, from before there is anything to tell.
func TestSyncChanges(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.wantFeed(t, 0, 0, map[string]string{})
	ana, root := h.as(t, "ana"), h.as(t, "root", auth.RoleAdmin)
	id := h.me(ana, t).GetId()
	update := func(change *profilev1.Learner) (header metadata.MD) {
		_, err := h.client().UpdateLearner(ana, &profilev1.UpdateLearnerRequest{LearnerId: "me", Learner: change}, grpc.Header(&header))
		if err != nil {
			t.Fatal(err)
		}
		return header
	}
	h.wantFeed(t, 0, 1, map[string]string{id: ""})
	wantRevision(t, update(&profilev1.Learner{DisplayName: "Ana"}), "1")
	h.wantFeed(t, 1, 1, map[string]string{})
	wantRevision(t, update(&profilev1.Learner{TimeZone: "Europe/Berlin"}), "2")

	create := &profilev1.CreateLearnerRequest{Learner: &profilev1.Learner{Email: "bob@example.org", TimeZone: "Asia/Tokyo"}}
	var header metadata.MD
	made, err := h.client().CreateLearner(root, create, grpc.Header(&header))
	if err != nil {
		t.Fatal(err)
	}
	wantRevision(t, header, "3")
	bob := made.GetLearner().GetId()
	header = nil
	if made, err = h.client().CreateLearner(root, &profilev1.CreateLearnerRequest{Learner: &profilev1.Learner{}}, grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	wantRevision(t, header, "4")
	eve := made.GetLearner().GetId()
	h.wantFeed(t, 0, 4, map[string]string{id: "Europe/Berlin", bob: "Asia/Tokyo", eve: ""})
	h.wantFeed(t, 2, 4, map[string]string{bob: "Asia/Tokyo", eve: ""})

	wantRevision(t, update(&profilev1.Learner{TimeZone: "America/New_York"}), "5")
	// Said again, or with another change, it is no news; but whoever lost the answer hears of it.
	wantRevision(t, update(&profilev1.Learner{TimeZone: "America/New_York", DisplayName: "Else"}), "5")
	h.wantFeed(t, 4, 5, map[string]string{id: "America/New_York"})
	h.wantFeed(t, 0, 5, map[string]string{id: "America/New_York", bob: "Asia/Tokyo", eve: ""})
	h.wantFeed(t, 5, 5, map[string]string{})
	h.wantFeed(t, 99, 5, map[string]string{})
}

// TestSyncChangesPages is about more learners than are read at a time.
func TestSyncChangesPages(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	progress := profilev1.NewProfileServiceClient(h.server.InProcess("progress"))
	want := map[string]string{}
	const learners = 1000 // Two full pages: the second one's end must be seen, too.
	for i := range learners {
		resp, err := progress.ResolveSubject(t.Context(), &profilev1.ResolveSubjectRequest{
			Subject: &profilev1.Subject{Issuer: "https://id.example.org", Subject: fmt.Sprint("learner-", i)}, TimeZone: "Asia/Tokyo",
		})
		if err != nil {
			t.Fatal(err)
		}
		want[resp.GetLearnerId()] = "Asia/Tokyo"
	}
	h.wantFeed(t, 0, learners, want)
}

// TestSyncChangesSaysNoMore: who hears of learners by the feed hears no personal data.
func TestSyncChangesSaysNoMore(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	made, err := h.client().CreateLearner(h.as(t, "root", auth.RoleAdmin), &profilev1.CreateLearnerRequest{Learner: &profilev1.Learner{
		DisplayName: "Ana", Email: "ana@example.org", Locale: "de", TimeZone: "Europe/Berlin", TargetRole: "clinical-ai-engineer",
	}})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := profilev1.NewProfileServiceClient(h.server.InProcess("progress")).SyncChanges(t.Context(), &profilev1.SyncChangesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := stream.Recv()
	want := &profilev1.LearnerRecord{Id: made.GetLearner().GetId(), TimeZone: "Europe/Berlin", TimeZoneTime: made.GetLearner().GetCreateTime(), State: profilev1.Learner_ACTIVE}
	if got := m.GetChange().GetLearner(); err != nil || !proto.Equal(got, want) || len(got.ProtoReflect().GetUnknown()) != 0 {
		t.Errorf("the feed tells %v, %v, want %v", m, err, want)
	}
}

// TestSyncChangesIsForProgress: nobody else is told, whatever their role.
func TestSyncChangesIsForProgress(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ask := func(ctx context.Context, peer string) error {
		stream, err := profilev1.NewProfileServiceClient(h.server.InProcess(peer)).SyncChanges(ctx, &profilev1.SyncChangesRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	wantStatus(t, ask(h.as(t, "root", auth.RoleAdmin), "gateway"), codes.PermissionDenied, errs.ReasonRoleRequired)
	wantStatus(t, ask(t.Context(), "gateway"), codes.Unauthenticated, errs.ReasonTokenMissing)
	wantStatus(t, ask(t.Context(), "catalog"), codes.Unauthenticated, errs.ReasonTokenMissing)
	_, _, err := h.sync(t.Context(), -1)
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "afterRevision")
}
