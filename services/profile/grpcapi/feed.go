package grpcapi

import (
	"context"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/feed"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// SyncLearners streams the learners that changed, and last the revision reached.
func (s *Server) SyncLearners(req *profilev1.SyncLearnersRequest, stream grpc.ServerStreamingServer[profilev1.SyncLearnersResponse]) error {
	return feed.Send(stream, req.GetAfterRevision(), learnerFeed{s.service})
}

// learnerFeed is the source of SyncLearners.
type learnerFeed struct{ service *profile.Service }

// Page returns the learners who have changed, without personal data.
func (f learnerFeed) Page(ctx context.Context, after int64) (changes []*profilev1.SyncLearnersResponse, revision int64, more bool, err error) {
	learners, revision, more, err := f.service.Feed(ctx, after)
	for _, c := range learners {
		record := &profilev1.LearnerRecord{Id: c.LearnerID, TimeZone: c.TimeZone, TimeZoneTime: timestamppb.New(c.TimeZoneTime)}
		changes = append(changes, &profilev1.SyncLearnersResponse{Item: &profilev1.SyncLearnersResponse_Learner{Learner: record}})
	}
	return changes, revision, more, err
}

// Marker returns the last message.
func (f learnerFeed) Marker(revision int64) *profilev1.SyncLearnersResponse {
	return &profilev1.SyncLearnersResponse{Item: &profilev1.SyncLearnersResponse_Revision{Revision: revision}}
}

// withRevision adds a learner's place in the feed to the metadata of a response, so that
// progress can wait until it has what was written here.
func withRevision(md metadata.MD, revision int64) metadata.MD {
	if revision > 0 {
		md.Set(feed.ProfileRevision, strconv.FormatInt(revision, 10))
	}
	return md
}
