package grpcapi

import (
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// SyncLearners streams the learners that changed, and last the revision reached.
func (s *Server) SyncLearners(req *profilev1.SyncLearnersRequest, stream grpc.ServerStreamingServer[profilev1.SyncLearnersResponse]) error {
	revision, err := s.service.Feed(stream.Context(), req.GetAfterRevision(), func(c profile.Change) error {
		record := &profilev1.LearnerRecord{Id: c.LearnerID, TimeZone: c.TimeZone}
		return stream.Send(&profilev1.SyncLearnersResponse{Item: &profilev1.SyncLearnersResponse_Learner{Learner: record}})
	})
	if err != nil {
		return err
	}
	return stream.Send(&profilev1.SyncLearnersResponse{Item: &profilev1.SyncLearnersResponse_Revision{Revision: revision}})
}

// withRevision adds a learner's place in the feed to the metadata of a response, so that
// progress can wait until it has what was written here.
func withRevision(md metadata.MD, revision int64) metadata.MD {
	if revision > 0 {
		md.Set("preceptor-profile-revision", strconv.FormatInt(revision, 10))
	}
	return md
}
