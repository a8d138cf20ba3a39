package grpcapi

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/profile"
)

// ListCohorts returns one page of cohorts: all for an admin, for others those that they manage.
func (s *Server) ListCohorts(ctx context.Context, req *profilev1.ListCohortsRequest) (*profilev1.ListCohortsResponse, error) {
	q := profile.CohortQuery{Q: req.GetQ(), PageSize: int(req.GetPageSize()), PageToken: req.GetPageToken()}
	if caller, _ := auth.FromContext(ctx); !caller.HasRole(auth.RoleAdmin) {
		var err error
		if q.ManagerID, err = auth.LearnerID(ctx); err != nil {
			return nil, err
		}
		if q.ManagerID == "" { // no person, so the manager of none
			return &profilev1.ListCohortsResponse{}, nil
		}
	}
	cohorts, next, err := s.service.ListCohorts(ctx, q)
	if err != nil {
		return nil, err
	}
	resp := &profilev1.ListCohortsResponse{NextPageToken: next}
	for _, c := range cohorts {
		resp.Cohorts = append(resp.Cohorts, cohortProto(c))
	}
	return resp, nil
}

// GetCohort returns a cohort.
func (s *Server) GetCohort(ctx context.Context, req *profilev1.GetCohortRequest) (*profilev1.GetCohortResponse, error) {
	cohort, err := s.service.Cohort(ctx, req.GetCohortId())
	if err != nil {
		return nil, err
	}
	return &profilev1.GetCohortResponse{Cohort: cohortProto(cohort)}, nil
}

// CreateCohort creates a cohort, and sets its Location.
func (s *Server) CreateCohort(ctx context.Context, req *profilev1.CreateCohortRequest) (*profilev1.CreateCohortResponse, error) {
	key, err := rpc.IdempotencyKey(ctx, profilev1.CohortService_CreateCohort_FullMethodName, req)
	if err != nil {
		return nil, err
	}
	actor, err := actorOf(ctx)
	if err != nil {
		return nil, err
	}
	cohort := cohortOf(req.GetCohort())
	cohort.ID = req.GetCohortId()
	encoded, revision, err := s.service.CreateCohort(ctx, profile.CohortCreation{
		Cohort: cohort, Key: key, Actor: actor,
		Encode: func(c profile.Cohort) ([]byte, error) {
			return proto.Marshal(&profilev1.CreateCohortResponse{Cohort: cohortProto(c)})
		},
	})
	if err != nil {
		return nil, err
	}
	resp := &profilev1.CreateCohortResponse{}
	if err := proto.Unmarshal(encoded, resp); err != nil {
		return nil, err
	}
	md := metadata.Pairs(
		"http-status", "201",
		"location", "/v1/cohorts/"+resp.GetCohort().GetId(),
		"etag", strconv.Quote(resp.GetCohort().GetEtag()),
	)
	replayed := revision == 0 // nothing was made
	return resp, grpc.SetHeader(ctx, rpc.MarkReplayed(withRevision(md, revision), replayed))
}

// UpdateCohort changes the fields that the mask names, or, without one, those that are set.
func (s *Server) UpdateCohort(ctx context.Context, req *profilev1.UpdateCohortRequest) (*profilev1.UpdateCohortResponse, error) {
	mask, err := rpc.ReadMask(req.GetUpdateMask(), req.GetCohort(), "kind") // it cannot be cleared
	if err != nil {
		return nil, err
	}
	actor, err := actorOf(ctx)
	if err != nil {
		return nil, err
	}
	cohort, revision, err := s.service.UpdateCohort(ctx, profile.CohortUpdate{
		CohortID: req.GetCohortId(), Actor: actor,
		Edit: func(c profile.Cohort) (profile.Cohort, error) {
			merged := cohortProto(c)
			mask.Merge(merged, req.GetCohort())
			return cohortOf(merged), nil
		},
		Match: rpc.PreconditionsOf(ctx, req.GetEtag(), req.GetCohort().GetEtag()).Match,
	})
	if err != nil {
		return nil, err
	}
	md := withRevision(metadata.Pairs("etag", strconv.Quote(cohort.Etag())), revision)
	return &profilev1.UpdateCohortResponse{Cohort: cohortProto(cohort)}, grpc.SetHeader(ctx, md)
}

// DeleteCohort ends a cohort.
func (s *Server) DeleteCohort(ctx context.Context, req *profilev1.DeleteCohortRequest) (*profilev1.DeleteCohortResponse, error) {
	actor, err := actorOf(ctx)
	if err != nil {
		return nil, err
	}
	revision, err := s.service.DeleteCohort(ctx, req.GetCohortId(), rpc.PreconditionsOf(ctx, req.GetEtag()).Match, actor)
	if err != nil {
		return nil, err
	}
	return &profilev1.DeleteCohortResponse{}, grpc.SetHeader(ctx, withRevision(metadata.MD{}, revision))
}

// ListCohortMembers returns one page of the members of a cohort.
func (s *Server) ListCohortMembers(ctx context.Context, req *profilev1.ListCohortMembersRequest) (*profilev1.ListCohortMembersResponse, error) {
	members, next, err := s.service.Members(ctx, req.GetCohortId(), int(req.GetPageSize()), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &profilev1.ListCohortMembersResponse{Members: memberProtos(members), NextPageToken: next}, nil
}

// AddCohortMembers adds learners to a STATIC cohort.
func (s *Server) AddCohortMembers(ctx context.Context, req *profilev1.AddCohortMembersRequest) (*profilev1.AddCohortMembersResponse, error) {
	count, err := s.moveMembers(ctx, s.service.AddMembers, req)
	if err != nil {
		return nil, err
	}
	return &profilev1.AddCohortMembersResponse{AddedCount: count}, nil
}

// RemoveCohortMembers removes learners from a STATIC cohort.
func (s *Server) RemoveCohortMembers(ctx context.Context, req *profilev1.RemoveCohortMembersRequest) (*profilev1.RemoveCohortMembersResponse, error) {
	count, err := s.moveMembers(ctx, s.service.RemoveMembers, req)
	if err != nil {
		return nil, err
	}
	return &profilev1.RemoveCohortMembersResponse{RemovedCount: count}, nil
}

// movingRequest is a request that adds members, or removes them.
type movingRequest interface {
	GetCohortId() string
	GetLearnerIds() []string
	GetReason() string
}

func (s *Server) moveMembers(
	ctx context.Context, move func(context.Context, profile.MembersCommand) (int, int64, error), req movingRequest,
) (int32, error) {
	actor, err := actorOf(ctx)
	if err != nil {
		return 0, err
	}
	ids := make([]string, len(req.GetLearnerIds()))
	for i, id := range req.GetLearnerIds() {
		ids[i] = strings.ToLower(id)
	}
	count, revision, err := move(ctx, profile.MembersCommand{CohortID: req.GetCohortId(), LearnerIDs: ids, Reason: req.GetReason(), Actor: actor})
	if err != nil {
		return 0, err
	}
	return int32(count), grpc.SetHeader(ctx, withRevision(metadata.MD{}, revision))
}

// ExplainCohortMember returns why a learner is a member of a cohort, or is not.
func (s *Server) ExplainCohortMember(ctx context.Context, req *profilev1.ExplainCohortMemberRequest) (*profilev1.ExplainCohortMemberResponse, error) {
	why, err := s.service.ExplainMember(ctx, req.GetCohortId(), req.GetLearnerId())
	if err != nil {
		return nil, err
	}
	resp := &profilev1.ExplainCohortMemberResponse{Rule: why.Rule, Values: why.Values, RuleError: why.RuleError}
	for _, s := range why.Spans {
		span := &profilev1.ExplainCohortMemberResponse_Span{JoinTime: timestamppb.New(s.JoinTime), JoinReason: s.JoinReason, LeaveReason: s.LeaveReason}
		if resp.Member = s.Open(); resp.GetMember() {
			resp.JoinTime = timestamppb.New(s.CountTime)
		} else {
			span.LeaveTime = timestamppb.New(s.LeaveTime)
		}
		resp.History = append(resp.History, span)
	}
	return resp, nil
}

// EvaluateCohortRule returns who would be a member by a rule.
func (s *Server) EvaluateCohortRule(ctx context.Context, req *profilev1.EvaluateCohortRuleRequest) (*profilev1.EvaluateCohortRuleResponse, error) {
	found, err := s.service.EvaluateRule(ctx, strings.TrimSpace(req.GetRule()))
	if err != nil {
		return nil, err
	}
	return &profilev1.EvaluateCohortRuleResponse{
		MemberCount: int32(found.Members), LearnerCount: int32(found.Learners), Members: memberProtos(found.First),
		ErrorCount: int32(found.Errors), Error: found.Error,
	}, nil
}

// cohortOf reads what a client may set.
func cohortOf(c *profilev1.Cohort) profile.Cohort {
	cohort := profile.Cohort{Title: c.GetTitle(), Rule: c.GetRule(), ManagerIDs: c.GetManagerIds()}
	if c.GetKind() != profilev1.Cohort_KIND_UNSPECIFIED {
		cohort.Kind = profile.CohortKind(c.GetKind().String())
	}
	return cohort
}

func cohortProto(c profile.Cohort) *profilev1.Cohort {
	return &profilev1.Cohort{
		Id:             c.ID,
		Title:          c.Title,
		Kind:           profilev1.Cohort_Kind(profilev1.Cohort_Kind_value[string(c.Kind)]),
		Rule:           c.Rule,
		ManagerIds:     c.ManagerIDs,
		MemberCount:    int32(c.Counts.Members),
		Evaluating:     c.Evaluating,
		RuleErrorCount: int32(c.Counts.RuleErrors),
		RuleError:      c.Counts.RuleError,
		Etag:           c.Etag(),
		CreateTime:     timestamppb.New(c.CreateTime),
		UpdateTime:     timestamppb.New(c.UpdateTime),
	}
}

// memberProtos returns members; those who are none yet, and only would be, have no times.
func memberProtos(members []profile.Member) []*profilev1.CohortMember {
	out := make([]*profilev1.CohortMember, len(members))
	for i, m := range members {
		out[i] = &profilev1.CohortMember{LearnerId: m.LearnerID, DisplayName: m.DisplayName, Reason: m.Span.JoinReason}
		if m.Span.Number > 0 {
			out[i].JoinTime = timestamppb.New(m.Span.CountTime)
		}
	}
	return out
}
