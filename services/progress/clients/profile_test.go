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
	grpc.ServerStreamingClient[profilev1.SyncLearnersResponse]

	messages []*profilev1.SyncLearnersResponse
	resolved *profilev1.ResolveSubjectResponse
	end      error
}

func (s *streamed) SyncLearners(
	context.Context, *profilev1.SyncLearnersRequest, ...grpc.CallOption,
) (grpc.ServerStreamingClient[profilev1.SyncLearnersResponse], error) {
	return s, nil
}

func (s *streamed) ResolveSubject(context.Context, *profilev1.ResolveSubjectRequest, ...grpc.CallOption) (*profilev1.ResolveSubjectResponse, error) {
	return s.resolved, s.end
}

func (s *streamed) Recv() (*profilev1.SyncLearnersResponse, error) {
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
	learner := &profilev1.SyncLearnersResponse{Item: &profilev1.SyncLearnersResponse_Learner{Learner: &profilev1.LearnerRecord{
		Id: "ana", TimeZone: "UTC", TimeZoneTime: timestamppb.New(since),
	}}}
	unsaid := &profilev1.SyncLearnersResponse{Item: &profilev1.SyncLearnersResponse_Learner{Learner: &profilev1.LearnerRecord{Id: "bob"}}}
	revision := &profilev1.SyncLearnersResponse{Item: &profilev1.SyncLearnersResponse_Revision{Revision: 4}}
	read := func(end error, messages ...*profilev1.SyncLearnersResponse) ([]progress.LearnerZone, int64, error) {
		return clients.NewProfileClient(&streamed{messages: messages, end: end}).Sync(t.Context(), 3)
	}
	zones, reached, err := read(io.EOF, learner, unsaid, revision)
	if want := []progress.LearnerZone{{LearnerID: "ana", TimeZone: "UTC", Since: since}, {LearnerID: "bob"}}; err != nil || reached != 4 || !reflect.DeepEqual(zones, want) {
		t.Errorf("the answer is %v, %d, %v, want %v, 4", zones, reached, err, want)
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
