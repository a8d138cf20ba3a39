// Package grpcapi serves the profile service over gRPC: it translates between the
// messages of profile.proto and the types of package profile.
package grpcapi

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/page"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// Server is the service as gRPC offers it.
type Server struct {
	profilev1.UnsafeProfileServiceServer
	profilev1.UnsafeCohortServiceServer

	service *profile.Service
}

var (
	_ profilev1.ProfileServiceServer = (*Server)(nil)
	_ profilev1.CohortServiceServer  = (*Server)(nil)
)

// NewServer makes a Server, of learners and of cohorts.
func NewServer(service *profile.Service) *Server { return &Server{service: service} }

// GetLearner returns a learner, and its etag as a header; or nothing if the caller has it.
func (s *Server) GetLearner(ctx context.Context, req *profilev1.GetLearnerRequest) (*profilev1.GetLearnerResponse, error) {
	learner, err := s.service.Learner(ctx, req.GetLearnerId())
	if err != nil {
		return nil, err
	}
	etag := learner.Etag()
	if slices.Contains(rpc.Known(ctx), etag) {
		return &profilev1.GetLearnerResponse{}, rpc.Unchanged(ctx, etag)
	}
	return &profilev1.GetLearnerResponse{Learner: learnerProto(learner)}, grpc.SetHeader(ctx, metadata.Pairs("etag", strconv.Quote(etag)))
}

// UpdateLearner changes the fields that the mask names, or, without one, those that are set.
func (s *Server) UpdateLearner(ctx context.Context, req *profilev1.UpdateLearnerRequest) (*profilev1.UpdateLearnerResponse, error) {
	caller, _ := auth.FromContext(ctx)
	// Who would lose their subjects could not sign in; the attributes are an admin's.
	mask, err := rpc.ReadMask(req.GetUpdateMask(), req.GetLearner(), "subjects", "attributes")
	if err != nil {
		return nil, err
	}
	actor := ""
	if mask.Names("attributes") { // only they are audited
		if actor, err = actorOf(ctx); err != nil {
			return nil, err
		}
	}
	learner, err := s.service.Update(ctx, profile.Update{
		LearnerID: req.GetLearnerId(),
		Edit: func(l profile.Learner) (profile.Learner, error) {
			merged := learnerProto(l)
			mask.Merge(merged, req.GetLearner())
			return learnerOf(merged), nil
		},
		Match: rpc.PreconditionsOf(ctx, req.GetEtag(), req.GetLearner().GetEtag()).Match,
		Admin: caller.HasRole(auth.RoleAdmin),
		Actor: actor,
	})
	if err != nil {
		return nil, err
	}
	// The revision is set even when this call changed no time zone: the response of the one
	// that did may be lost.
	return &profilev1.UpdateLearnerResponse{Learner: learnerProto(learner)},
		grpc.SetHeader(ctx, withRevision(metadata.Pairs("etag", strconv.Quote(learner.Etag())), learner.Revision))
}

// ListLearners returns one page of learners.
func (s *Server) ListLearners(ctx context.Context, req *profilev1.ListLearnersRequest) (*profilev1.ListLearnersResponse, error) {
	page, err := s.service.List(ctx, profile.ListQuery{
		Q:            req.GetQ(),
		OrderBy:      req.GetOrderBy(),
		PageSize:     int(req.GetPageSize()),
		PageToken:    req.GetPageToken(),
		IncludeTotal: req.GetIncludeTotal(),
	})
	if err != nil {
		return nil, err
	}
	resp := &profilev1.ListLearnersResponse{NextPageToken: page.NextPageToken}
	for _, l := range page.Learners {
		resp.Learners = append(resp.Learners, learnerProto(l))
	}
	if req.GetIncludeTotal() {
		resp.TotalSize = new(int32(page.Total))
	}
	return resp, nil
}

// CreateLearner creates a learner, and sets its Location.
func (s *Server) CreateLearner(ctx context.Context, req *profilev1.CreateLearnerRequest) (*profilev1.CreateLearnerResponse, error) {
	key, err := rpc.IdempotencyKey(ctx, profilev1.ProfileService_CreateLearner_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	actor := ""
	if len(req.GetLearner().GetAttributes()) > 0 { // only they are audited
		if actor, err = actorOf(ctx); err != nil {
			return nil, err
		}
	}
	encoded, revision, err := s.service.Create(ctx, profile.Creation{
		Learner: learnerOf(req.GetLearner()), Key: key, Actor: actor,
		Encode: func(l profile.Learner) ([]byte, error) {
			return proto.Marshal(&profilev1.CreateLearnerResponse{Learner: learnerProto(l)})
		},
	})
	if err != nil {
		return nil, err
	}
	resp := &profilev1.CreateLearnerResponse{}
	if err := proto.Unmarshal(encoded, resp); err != nil {
		return nil, err
	}
	md := metadata.Pairs(
		"http-status", "201",
		"location", "/v1/learners/"+resp.GetLearner().GetId(),
		"etag", strconv.Quote(resp.GetLearner().GetEtag()),
	)
	replayed := revision == 0 // nothing was made
	return resp, grpc.SetHeader(ctx, rpc.MarkReplayed(withRevision(md, revision), replayed))
}

// SuspendLearner notes that a learner left.
func (s *Server) SuspendLearner(ctx context.Context, req *profilev1.SuspendLearnerRequest) (*profilev1.SuspendLearnerResponse, error) {
	learner, err := moved(ctx, s.service.Suspend, req.GetLearnerId(), req.GetReason())
	if err != nil {
		return nil, err
	}
	return &profilev1.SuspendLearnerResponse{Learner: learner}, nil
}

// ReactivateLearner notes that a learner came back.
func (s *Server) ReactivateLearner(ctx context.Context, req *profilev1.ReactivateLearnerRequest) (*profilev1.ReactivateLearnerResponse, error) {
	learner, err := moved(ctx, s.service.Reactivate, req.GetLearnerId(), req.GetReason())
	if err != nil {
		return nil, err
	}
	return &profilev1.ReactivateLearnerResponse{Learner: learner}, nil
}

// moved moves a learner to another state, and sets the headers of that.
func moved(
	ctx context.Context, move func(ctx context.Context, learnerID, actor, reason string) (profile.Learner, error), learnerID, reason string,
) (*profilev1.Learner, error) {
	actor, err := actorOf(ctx)
	if err != nil {
		return nil, err
	}
	learner, err := move(ctx, learnerID, actor, reason)
	if err != nil {
		return nil, err
	}
	return learnerProto(learner), grpc.SetHeader(ctx, withRevision(metadata.Pairs("etag", strconv.Quote(learner.Etag())), learner.Revision))
}

// actorOf names the caller for the audit: by the learner id, or, of a command, by its subject.
func actorOf(ctx context.Context) (string, error) {
	id, err := auth.LearnerID(ctx)
	if err != nil {
		return "", err
	}
	caller, _ := auth.FromContext(ctx)
	return cmp.Or(id, caller.ActorID()), nil
}

// ListRecommendedPaths returns one page of the paths that fit the learner, the best first.
func (s *Server) ListRecommendedPaths(
	ctx context.Context,
	req *profilev1.ListRecommendedPathsRequest,
) (*profilev1.ListRecommendedPathsResponse, error) {
	learnerID := req.GetLearnerId()
	recommended := func() ([]profile.Recommendation, error) { return s.service.Recommend(ctx, learnerID) }
	if caller, _ := auth.FromContext(ctx); caller.Unregistered {
		learnerID = "" // the id of this request is of nobody, and of this request alone
		recommended = func() ([]profile.Recommendation, error) { return s.service.RecommendToNewcomer(ctx) }
	}
	token, err := page.NewToken("recommendedPaths", learnerID)
	if err != nil {
		return nil, err
	}
	after, err := token.ReadKey(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	recommendations, err := recommended()
	if err != nil {
		return nil, err
	}
	recommendations, next := page.Cut(token, recommendations, after, page.Size(int(req.GetPageSize())), func(r profile.Recommendation) string {
		return strconv.Itoa(r.Rank) + "/" + r.Path.ID
	})
	resp := &profilev1.ListRecommendedPathsResponse{NextPageToken: next}
	for _, r := range recommendations {
		resp.RecommendedPaths = append(resp.RecommendedPaths, &profilev1.RecommendedPath{
			PathId:      r.Path.ID,
			Title:       r.Path.Title,
			Reason:      whyProto(r.Why),
			Description: r.Description,
		})
	}
	return resp, nil
}

// ResolveSubject returns the learner that an identity belongs to.
func (s *Server) ResolveSubject(ctx context.Context, req *profilev1.ResolveSubjectRequest) (*profilev1.ResolveSubjectResponse, error) {
	found, err := s.service.Resolve(ctx, subjectOf(req.GetSubject()), profile.Hints{
		DisplayName: req.GetDisplayName(),
		Email:       req.GetEmail(),
		Locale:      req.GetLocale(),
		TimeZone:    req.GetTimeZone(),
	})
	if err != nil {
		return nil, err
	}
	return &profilev1.ResolveSubjectResponse{LearnerId: found.LearnerID, TimeZone: found.TimeZone, TimeZoneTime: timestamppb.New(found.TimeZoneTime)}, nil
}

// learnerOf reads what a client may set.
func learnerOf(l *profilev1.Learner) profile.Learner {
	learner := profile.Learner{
		DisplayName: l.GetDisplayName(),
		Email:       l.GetEmail(),
		Locale:      l.GetLocale(),
		TimeZone:    l.GetTimeZone(),
		Background:  backgroundOf(l.GetBackground()),
		TargetRole:  l.GetTargetRole(),
		WeeklyGoal:  profile.WeeklyGoal{Minutes: l.GetWeeklyGoal().GetMinutes(), Units: l.GetWeeklyGoal().GetUnits()},
	}
	if len(l.GetAttributes()) > 0 {
		learner.Attributes = l.GetAttributes()
	}
	for _, s := range l.GetSubjects() {
		learner.Subjects = append(learner.Subjects, subjectOf(s))
	}
	return learner
}

func learnerProto(l profile.Learner) *profilev1.Learner {
	learner := &profilev1.Learner{
		Id:          l.ID,
		DisplayName: l.DisplayName,
		Email:       l.Email,
		Locale:      l.Locale,
		TimeZone:    l.TimeZone,
		Background:  profilev1.Learner_Background(profilev1.Learner_Background_value[string(l.Background)]),
		TargetRole:  l.TargetRole,
		State:       stateProto(l.State),
		Attributes:  l.Attributes,
		Etag:        l.Etag(),
		CreateTime:  timestamppb.New(l.CreateTime),
		UpdateTime:  timestamppb.New(l.UpdateTime),
	}
	if l.WeeklyGoal != (profile.WeeklyGoal{}) {
		learner.WeeklyGoal = &profilev1.WeeklyGoal{Minutes: l.WeeklyGoal.Minutes, Units: l.WeeklyGoal.Units}
	}
	for _, s := range l.Subjects {
		learner.Subjects = append(learner.Subjects, &profilev1.Subject{Issuer: s.Issuer, Subject: s.Subject})
	}
	return learner
}

func subjectOf(s *profilev1.Subject) profile.Subject {
	return profile.Subject{Issuer: s.GetIssuer(), Subject: s.GetSubject()}
}

// backgroundOf returns a number that has no name as its digits, which validation refuses.
func backgroundOf(b profilev1.Learner_Background) profile.Background {
	if b == profilev1.Learner_BACKGROUND_UNSPECIFIED {
		return ""
	}
	return profile.Background(b.String())
}

func whyProto(w profile.Why) profilev1.RecommendedPath_Reason {
	switch w {
	case profile.WhyTargetRole:
		return profilev1.RecommendedPath_TARGET_ROLE
	case profile.WhyBackground:
		return profilev1.RecommendedPath_BACKGROUND
	case profile.WhyGeneral:
		return profilev1.RecommendedPath_GENERAL
	default:
		return profilev1.RecommendedPath_REASON_UNSPECIFIED
	}
}
