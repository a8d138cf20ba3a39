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

// SyncChanges streams what happened, and last the revision reached.
func (s *Server) SyncChanges(req *profilev1.SyncChangesRequest, stream grpc.ServerStreamingServer[profilev1.SyncChangesResponse]) error {
	return feed.Send(stream, req.GetAfterRevision(), &changeFeed{service: s.service})
}

// maxPages is how many pages of the feed a stream has at most, so that its reader can store them in good time. The
// reader asks again.
const maxPages = 40

// changeFeed is the source of SyncChanges.
type changeFeed struct {
	service *profile.Service
	pages   int
}

// Page returns what happened, without personal data.
func (f *changeFeed) Page(ctx context.Context, after int64) (changes []*profilev1.SyncChangesResponse, revision int64, more bool, err error) {
	happened, revision, more, err := f.service.Feed(ctx, after)
	for _, c := range happened {
		changes = append(changes, &profilev1.SyncChangesResponse{Item: &profilev1.SyncChangesResponse_Change{Change: changeProto(c)}})
	}
	f.pages++
	return changes, revision, more && f.pages < maxPages, err
}

// Marker returns the last message.
func (*changeFeed) Marker(revision int64) *profilev1.SyncChangesResponse {
	return &profilev1.SyncChangesResponse{Item: &profilev1.SyncChangesResponse_Revision{Revision: revision}}
}

func changeProto(c profile.Change) *profilev1.Change {
	change := &profilev1.Change{Revision: c.Revision, Time: timestamppb.New(c.Time)}
	switch {
	case c.Learner != nil:
		change.Subject = &profilev1.Change_Learner{Learner: &profilev1.LearnerRecord{
			Id: c.Learner.ID, TimeZone: c.Learner.TimeZone, TimeZoneTime: timestamppb.New(c.Learner.TimeZoneTime),
			State: stateProto(c.Learner.State), HireDate: c.Learner.HireDate,
		}}
	case c.Cohort != nil:
		change.Subject = &profilev1.Change_Cohort{Cohort: &profilev1.CohortRecord{
			Id: c.Cohort.ID, Title: c.Cohort.Title, ManagerIds: c.Cohort.ManagerIDs, Deleted: c.Cohort.Deleted,
		}}
	case c.Membership != nil:
		change.Subject = &profilev1.Change_Membership{Membership: &profilev1.MembershipRecord{
			CohortId: c.Membership.CohortID, LearnerId: c.Membership.LearnerID, Member: c.Membership.Member,
			JoinTime: timestamppb.New(c.Membership.JoinTime),
		}}
	}
	return change
}

func stateProto(s profile.State) profilev1.Learner_State {
	return profilev1.Learner_State(profilev1.Learner_State_value[string(s)])
}

// withRevision adds a place in the feed to the metadata of a response, so that
// progress can wait until it has what was written here.
func withRevision(md metadata.MD, revision int64) metadata.MD {
	if revision > 0 {
		md.Set(feed.ProfileRevision, strconv.FormatInt(revision, 10))
	}
	return md
}
