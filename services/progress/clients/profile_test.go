package clients_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/clients"
)

// streamed is profile's client with answers that the test writes.
type streamed struct {
	profilev1.ProfileServiceClient
	grpc.ServerStreamingClient[profilev1.SyncChangesResponse]

	messages []*profilev1.SyncChangesResponse
	resolved *profilev1.ResolveSubjectResponse
	end      error
}

func (s *streamed) SyncChanges(
	context.Context, *profilev1.SyncChangesRequest, ...grpc.CallOption,
) (grpc.ServerStreamingClient[profilev1.SyncChangesResponse], error) {
	return s, nil
}

func (s *streamed) ResolveSubject(context.Context, *profilev1.ResolveSubjectRequest, ...grpc.CallOption) (*profilev1.ResolveSubjectResponse, error) {
	return s.resolved, s.end
}

func (s *streamed) Recv() (*profilev1.SyncChangesResponse, error) {
	if len(s.messages) == 0 {
		return nil, s.end
	}
	m := s.messages[0]
	s.messages = s.messages[1:]
	return m, nil
}

// An answer counts only when it came to its end: half of one would skip the rest for ever.
func TestProfileZonesWantTheWholeAnswer(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, time.March, 1, 12, 0, 0, 123456000, time.UTC)
	of := func(c *profilev1.Change) *profilev1.SyncChangesResponse {
		return &profilev1.SyncChangesResponse{Item: &profilev1.SyncChangesResponse_Change{Change: c}}
	}
	learner := of(&profilev1.Change{Revision: 1, Time: timestamppb.New(since), Subject: &profilev1.Change_Learner{Learner: &profilev1.LearnerRecord{
		Id: "ana", TimeZone: "UTC", TimeZoneTime: timestamppb.New(since), State: profilev1.Learner_SUSPENDED, HireDate: "2026-03-01",
	}}})
	unsaid := of(&profilev1.Change{Revision: 2, Subject: &profilev1.Change_Learner{Learner: &profilev1.LearnerRecord{Id: "bob"}}})
	cohort := of(&profilev1.Change{Revision: 3, Subject: &profilev1.Change_Cohort{Cohort: &profilev1.CohortRecord{
		Id: "c", Title: "C", ManagerIds: []string{"ana"}, Deleted: true,
	}}})
	member := of(&profilev1.Change{Revision: 4, Subject: &profilev1.Change_Membership{Membership: &profilev1.MembershipRecord{
		CohortId: "c", LearnerId: "bob", Member: true, JoinTime: timestamppb.New(since),
	}}})
	revision := &profilev1.SyncChangesResponse{Item: &profilev1.SyncChangesResponse_Revision{Revision: 4}}
	read := func(end error, messages ...*profilev1.SyncChangesResponse) ([]progress.ProfileChange, int64, error) {
		return clients.NewProfileClient(&streamed{messages: messages, end: end}).Sync(t.Context(), 3)
	}
	changes, reached, err := read(io.EOF, learner, unsaid, cohort, member, revision)
	want := []progress.ProfileChange{
		{Revision: 1, Time: since, Learner: &progress.PersonRecord{
			Zone: progress.LearnerZone{LearnerID: "ana", TimeZone: "UTC", Since: since}, Suspended: true, HireDate: "2026-03-01",
		}},
		{Revision: 2, Learner: &progress.PersonRecord{Zone: progress.LearnerZone{LearnerID: "bob"}}},
		{Revision: 3, Cohort: &progress.CohortRecord{ID: "c", Title: "C", ManagerIDs: []string{"ana"}, Deleted: true}},
		{Revision: 4, Membership: &progress.MembershipRecord{CohortID: "c", LearnerID: "bob", Member: true, JoinTime: since}},
	}
	if err != nil || reached != 4 || !reflect.DeepEqual(changes, want) {
		t.Errorf("the answer is %v, %d, %v, want %v, 4", changes, reached, err, want)
	}
	for _, end := range []error{io.EOF, errors.New("broken")} {
		if _, _, err := read(end, learner); errs.KindOf(err) != errs.Unavailable {
			t.Errorf("half an answer that ended with %v is %v", end, err)
		}
	}
}

func TestProfileResolvesWithTheZoneAndItsTime(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, time.March, 1, 12, 0, 0, 123456000, time.UTC)
	for _, c := range []struct {
		resolved *profilev1.ResolveSubjectResponse
		want     progress.Link
	}{
		{
			&profilev1.ResolveSubjectResponse{LearnerId: "ana", TimeZone: "Europe/Berlin", TimeZoneTime: timestamppb.New(since)},
			progress.Link{LearnerID: "ana", TimeZone: "Europe/Berlin", Since: since},
		},
		{&profilev1.ResolveSubjectResponse{LearnerId: "ana"}, progress.Link{LearnerID: "ana"}},
	} {
		got, err := clients.NewProfileClient(&streamed{resolved: c.resolved}).ResolveSubject(t.Context(), "https://id", "ana", auth.Hints{})
		if err != nil || got != c.want {
			t.Errorf("resolved %+v, %v, want %+v", got, err, c.want)
		}
	}
}
