package clients_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"testing"

	"google.golang.org/grpc"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/clients"
)

// streamed is profile's client with an answer that the test writes.
type streamed struct {
	profilev1.ProfileServiceClient
	grpc.ServerStreamingClient[profilev1.SyncLearnersResponse]

	messages []*profilev1.SyncLearnersResponse
	end      error
}

func (s *streamed) SyncLearners(
	context.Context, *profilev1.SyncLearnersRequest, ...grpc.CallOption,
) (grpc.ServerStreamingClient[profilev1.SyncLearnersResponse], error) {
	return s, nil
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
	learner := &profilev1.SyncLearnersResponse{Item: &profilev1.SyncLearnersResponse_Learner{Learner: &profilev1.LearnerRecord{Id: "ana", TimeZone: "UTC"}}}
	revision := &profilev1.SyncLearnersResponse{Item: &profilev1.SyncLearnersResponse_Revision{Revision: 4}}
	read := func(end error, messages ...*profilev1.SyncLearnersResponse) ([]progress.LearnerZone, int64, error) {
		return clients.NewProfileClient(&streamed{messages: messages, end: end}).Sync(t.Context(), 3)
	}
	zones, reached, err := read(io.EOF, learner, revision)
	if want := []progress.LearnerZone{{LearnerID: "ana", TimeZone: "UTC"}}; err != nil || reached != 4 || !reflect.DeepEqual(zones, want) {
		t.Errorf("the answer is %v, %d, %v, want %v, 4", zones, reached, err, want)
	}
	for _, end := range []error{io.EOF, errors.New("broken")} {
		if _, _, err := read(end, learner); errs.KindOf(err) != errs.Unavailable {
			t.Errorf("half an answer that ended with %v is %v", end, err)
		}
	}
}
