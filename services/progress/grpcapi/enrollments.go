package grpcapi

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/page"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// CreateEnrollment enrolls a learner.
func (g *Server) CreateEnrollment(ctx context.Context, r *progressv1.CreateEnrollmentRequest) (*progressv1.CreateEnrollmentResponse, error) {
	key, err := rpc.IdempotencyKey(ctx, progressv1.ProgressService_CreateEnrollment_FullMethodName, r)
	if err != nil {
		return nil, err
	}
	actor, err := actorOf(ctx)
	if err != nil {
		return nil, err
	}
	e, err := g.service.Enroll(ctx, engine.Enrolling{
		LearnerID: r.GetLearnerId(), PathID: r.GetPathId(), Actor: actor, Seen: atLeast(ctx), Key: key,
	})
	if err != nil {
		return nil, err
	}
	md := metadata.Pairs("http-status", "201",
		"location", "/v1/learners/"+r.GetLearnerId()+"/enrollments/"+e.ID, "etag", strconv.Quote(e.ETag()))
	return &progressv1.CreateEnrollmentResponse{Enrollment: enrollmentProto(&e.Enrollment)}, grpc.SetHeader(ctx, rpc.MarkReplayed(md, e.Replayed))
}

// ListEnrollments returns a page of a learner's enrollments.
func (g *Server) ListEnrollments(ctx context.Context, r *progressv1.ListEnrollmentsRequest) (*progressv1.ListEnrollmentsResponse, error) {
	token, err := enrollmentsToken(r.GetLearnerId())
	if err != nil {
		return nil, err
	}
	after, err := readPageToken(token, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := page.Size(int(r.GetPageSize()))
	out := new(progressv1.ListEnrollmentsResponse)
	route := fmt.Sprintf("enrollments/%d/%s", size, r.GetPageToken())
	return out, g.answer(ctx, r.GetLearnerId(), route, out, func(w *progress.View) (proto.Message, error) {
		// One more than the size shows whether there is a next page.
		rows, err := g.service.EnrollmentRows(context.WithoutCancel(ctx), r.GetLearnerId(), after, size+1)
		if err != nil {
			return nil, err
		}
		m := new(progressv1.ListEnrollmentsResponse)
		if len(rows) > size {
			rows = rows[:size]
			m.NextPageToken = pageToken(token, rows[size-1].Place())
		}
		for _, e := range w.EnrollmentsOf(rows) {
			m.Enrollments = append(m.Enrollments, standingProto(w, e))
		}
		return m, nil
	})
}

// GetEnrollment returns one enrollment.
func (g *Server) GetEnrollment(ctx context.Context, r *progressv1.GetEnrollmentRequest) (*progressv1.GetEnrollmentResponse, error) {
	id := strings.ToLower(r.GetEnrollmentId())
	out := new(progressv1.GetEnrollmentResponse)
	return out, g.answer(ctx, r.GetLearnerId(), "enrollment/"+id, out, func(w *progress.View) (proto.Message, error) {
		row, err := g.service.EnrollmentRow(context.WithoutCancel(ctx), r.GetLearnerId(), id)
		if err != nil {
			return nil, err
		}
		had := w.EnrollmentsOf([]progress.Enrollment{row})
		if len(had) == 0 { // made while this was read
			return nil, errs.New(errs.NotFound, errs.ReasonEnrollmentNotFound, "the learner has no enrollment %s", id)
		}
		return &progressv1.GetEnrollmentResponse{Enrollment: standingProto(w, had[0])}, nil
	})
}

// UpdateEnrollment pauses, resumes, withdraws or upgrades.
func (g *Server) UpdateEnrollment(ctx context.Context, r *progressv1.UpdateEnrollmentRequest) (*progressv1.UpdateEnrollmentResponse, error) {
	change, err := changeOf(r)
	if err != nil {
		return nil, err
	}
	change.Match = rpc.PreconditionsOf(ctx, r.GetEtag(), r.GetEnrollment().GetEtag()).Match
	actor, err := actorOf(ctx)
	if err != nil {
		return nil, err
	}
	e, err := g.service.UpdateEnrollment(ctx, r.GetLearnerId(), strings.ToLower(r.GetEnrollmentId()), actor, change)
	if err != nil {
		return nil, err
	}
	return &progressv1.UpdateEnrollmentResponse{Enrollment: enrollmentProto(&e)}, grpc.SetHeader(ctx, metadata.Pairs("etag", strconv.Quote(e.ETag())))
}

// changeOf returns what the request's mask names.
func changeOf(r *progressv1.UpdateEnrollmentRequest) (engine.EnrollmentChange, error) {
	enrollment, given := r.GetEnrollment(), r.GetUpdateMask()
	if slices.Equal(given.GetPaths(), []string{"*"}) {
		given = nil // nothing of an enrollment can be cleared
	}
	mask, err := rpc.ReadMask(given, enrollment)
	if err != nil {
		return engine.EnrollmentChange{}, err
	}
	change := engine.EnrollmentChange{PathID: enrollment.GetPathId()}
	if mask.Names("state") {
		if enrollment.GetState().Descriptor().Values().ByNumber(enrollment.GetState().Number()) == nil {
			return change, errs.InvalidFields([]errs.Violation{{
				Field: "state", Reason: errs.ReasonUnknownValue, Description: "must be one of " + rpc.EnumNames(enrollment.GetState().Descriptor()),
			}})
		}
		change.State = new(progress.EnrollmentState(enrollment.GetState().String()))
	}
	if mask.Names("path_version") {
		change.PathVersion = new(int(enrollment.GetPathVersion()))
	}
	return change, nil
}
