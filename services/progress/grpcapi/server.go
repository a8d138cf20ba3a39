// Package grpcapi is progress's gRPC API: it translates between the generated messages and the
// domain, and nothing else.
package grpcapi

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/feed"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/replay"
	"github.com/preceptor-dev/preceptor/services/progress/report"
)

// Server is the gRPC API of the service.
type Server struct {
	progressv1.UnsafeProgressServiceServer

	service  *engine.Service
	previews *report.Service
	replays  *replay.Service
	draining <-chan struct{}
}

var _ progressv1.ProgressServiceServer = (*Server)(nil)

// NewServer returns the gRPC API of the service. Watch streams end when draining closes.
func NewServer(service *engine.Service, previews *report.Service, replays *replay.Service, draining <-chan struct{}) *Server {
	return &Server{service: service, previews: previews, replays: replays, draining: draining}
}

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
	return &progressv1.CreateEnrollmentResponse{Enrollment: enrollmentProto(&e)}, grpc.SetHeader(ctx, metadata.Pairs("http-status", "201",
		"location", "/v1/learners/"+r.GetLearnerId()+"/enrollments/"+e.ID))
}

// ListEnrollments returns a learner's enrollments.
func (g *Server) ListEnrollments(ctx context.Context, r *progressv1.ListEnrollmentsRequest) (*progressv1.ListEnrollmentsResponse, error) {
	out := new(progressv1.ListEnrollmentsResponse)
	return out, g.answer(ctx, r.GetLearnerId(), "enrollments", out, func(w *progress.View) (proto.Message, error) {
		m := new(progressv1.ListEnrollmentsResponse)
		for _, e := range w.Enrollments() {
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
		e, err := w.Enrollment(id)
		if err != nil {
			return nil, err
		}
		return &progressv1.GetEnrollmentResponse{Enrollment: standingProto(w, e)}, nil
	})
}

// UpdateEnrollment pauses, resumes, withdraws or upgrades.
func (g *Server) UpdateEnrollment(ctx context.Context, r *progressv1.UpdateEnrollmentRequest) (*progressv1.UpdateEnrollmentResponse, error) {
	change, err := changeOf(r)
	if err != nil {
		return nil, err
	}
	change.Match = rpc.PreconditionsOf(ctx, r.GetEtag()).Match
	actor, err := actorOf(ctx)
	if err != nil {
		return nil, err
	}
	e, err := g.service.UpdateEnrollment(ctx, r.GetLearnerId(), strings.ToLower(r.GetEnrollmentId()), actor, change)
	if err != nil {
		return nil, err
	}
	return &progressv1.UpdateEnrollmentResponse{Enrollment: enrollmentProto(&e)}, nil
}

// changeOf returns what the request's mask names. A client may send back the fields that
// only the service sets.
func changeOf(r *progressv1.UpdateEnrollmentRequest) (engine.EnrollmentChange, error) {
	mask := rpc.Mask{Paths: r.GetUpdateMask().GetPaths(), JSONNames: true}
	enrollment := r.GetEnrollment()
	var bad []errs.Violation
	for _, i := range mask.Unknown(enrollment) {
		bad = append(bad, errs.Violation{
			Field: mask.Paths[i], Description: "cannot be changed; only state and pathVersion can", Reason: errs.ReasonNotSettable,
		})
	}
	if len(mask.Paths) == 0 {
		bad = append(bad, errs.Violation{
			Field: "updateMask", Description: "name what changes: state or pathVersion", Reason: errs.ReasonRequired,
		})
	}
	if len(bad) > 0 {
		return engine.EnrollmentChange{}, errs.InvalidFields(bad)
	}
	var change engine.EnrollmentChange
	if mask.Names(enrollment, "state") {
		change.State = new(progress.EnrollmentState(enrollment.GetState().String()))
	}
	if mask.Names(enrollment, "path_version") {
		change.PathVersion = new(int(enrollment.GetPathVersion()))
	}
	if mask.Names(enrollment, "path_id") {
		change.PathID = enrollment.GetPathId()
	}
	return change, nil
}

// BatchRecordEvents records what a learner did.
func (g *Server) BatchRecordEvents(ctx context.Context, r *progressv1.BatchRecordEventsRequest) (*progressv1.BatchRecordEventsResponse, error) {
	events := make([]progress.Event, len(r.GetEvents()))
	var bad []errs.Violation
	for i, e := range r.GetEvents() {
		events[i] = eventOf(e)
		if len(e.GetEventId()) != 36 || uuid.Validate(e.GetEventId()) != nil {
			bad = append(
				bad,
				errs.Violation{
					Field:       fmt.Sprintf("events[%d].eventId", i),
					Description: "must be a UUID, or the event cannot be answered for",
					Reason:      errs.ReasonNotAUUID,
				},
			)
		}
	}
	if len(bad) > 0 {
		return nil, errs.InvalidFields(bad)
	}
	actor, err := actorOf(ctx)
	if err != nil {
		return nil, err
	}
	recorded, err := g.service.Record(ctx, r.GetLearnerId(), actor, events, atLeast(ctx))
	if err != nil {
		return nil, err
	}
	out := &progressv1.BatchRecordEventsResponse{AsOfSequence: recorded.AsOfSequence, Awards: awardProtos(recorded.Awards)}
	for i := range recorded.Results {
		// The id is answered as it was sent, in its own case.
		out.Results = append(out.Results, resultProto(r.GetEvents()[i].GetEventId(), &recorded.Results[i]))
	}
	return out, nil
}

// ListEvents returns a learner's log.
func (g *Server) ListEvents(ctx context.Context, r *progressv1.ListEventsRequest) (*progressv1.ListEventsResponse, error) {
	limit := int(r.GetPageSize())
	if limit == 0 {
		limit = 100
	}
	records, head, err := g.service.History(ctx, r.GetLearnerId(), r.GetAfterSequence(), min(limit, 500))
	if err != nil {
		return nil, err
	}
	out := &progressv1.ListEventsResponse{AsOfSequence: head.Sequence, NextAfterSequence: r.GetAfterSequence()}
	for i := range records {
		out.Events = append(out.Events, entryProto(&records[i]))
		out.NextAfterSequence = records[i].Sequence
	}
	return out, nil
}

// GetProgress returns all enrollments in summary.
func (g *Server) GetProgress(ctx context.Context, r *progressv1.GetProgressRequest) (*progressv1.GetProgressResponse, error) {
	out := new(progressv1.GetProgressResponse)
	return out, g.answer(ctx, r.GetLearnerId(), "overview", out, func(w *progress.View) (proto.Message, error) {
		return overviewProto(w.Overview()), nil
	})
}

// GetPathProgress returns how far a learner is on a path.
func (g *Server) GetPathProgress(ctx context.Context, r *progressv1.GetPathProgressRequest) (*progressv1.GetPathProgressResponse, error) {
	out := new(progressv1.GetPathProgressResponse)
	return out, g.answer(ctx, r.GetLearnerId(), "path/"+r.GetPathId(), out, func(w *progress.View) (proto.Message, error) {
		p, err := w.Path(r.GetPathId())
		if err != nil {
			return nil, err
		}
		return &progressv1.GetPathProgressResponse{Progress: pathProto(p)}, nil
	})
}

// GetModuleProgress returns how far a learner is in a module.
func (g *Server) GetModuleProgress(ctx context.Context, r *progressv1.GetModuleProgressRequest) (*progressv1.GetModuleProgressResponse, error) {
	out := new(progressv1.GetModuleProgressResponse)
	return out, g.answer(ctx, r.GetLearnerId(), "module/"+r.GetModuleId(), out, func(w *progress.View) (proto.Message, error) {
		m, err := w.Module(r.GetModuleId())
		if err != nil {
			return nil, err
		}
		return &progressv1.GetModuleProgressResponse{Progress: moduleDetailProto(m)}, nil
	})
}

// ListMilestones returns the awards that a learner has earned.
func (g *Server) ListMilestones(ctx context.Context, r *progressv1.ListMilestonesRequest) (*progressv1.ListMilestonesResponse, error) {
	out := new(progressv1.ListMilestonesResponse)
	return out, g.answer(ctx, r.GetLearnerId(), "milestones", out, func(w *progress.View) (proto.Message, error) {
		return &progressv1.ListMilestonesResponse{Awards: awardProtos(w.Awards())}, nil
	})
}

// RevokeMilestone takes an award back.
func (g *Server) RevokeMilestone(ctx context.Context, r *progressv1.RevokeMilestoneRequest) (*progressv1.RevokeMilestoneResponse, error) {
	actor, err := actorOf(ctx)
	if err != nil {
		return nil, err
	}
	a, err := g.service.Revoke(ctx, r.GetLearnerId(), strings.ToLower(r.GetAwardId()), actor, r.GetReason())
	if err != nil {
		return nil, err
	}
	return &progressv1.RevokeMilestoneResponse{Award: awardProtos([]progress.Award{a})[0]}, nil
}

// answer computes an answer, or takes it from the cache, and sets its ETag.
func (g *Server) answer(ctx context.Context, learnerID, route string, out proto.Message, compute func(*progress.View) (proto.Message, error)) error {
	a, err := g.service.Read(ctx, learnerID, route, atLeast(ctx), func(w *progress.View) ([]byte, error) {
		m, err := compute(w)
		if err != nil {
			return nil, err
		}
		return proto.Marshal(m)
	})
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(a.Body, out); err != nil {
		return errs.Wrap(err, errs.Internal, errs.ReasonInternal, "a computed answer cannot be read")
	}
	return grpc.SetHeader(ctx, metadata.Pairs("etag", a.ETag))
}

// WatchProgress streams log entries as they are written.
func (g *Server) WatchProgress(r *progressv1.WatchProgressRequest, stream grpc.ServerStreamingServer[progressv1.WatchProgressResponse]) error {
	ctx, cancel := watchUntil(stream.Context(), g.draining, watchLife+rand.N(watchLife/2)) //nolint:gosec // jitter is no secret
	defer cancel()
	after := r.AfterSequence
	if last := first(ctx, "last-event-id"); last != "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil {
			n = -1 // we sent no such id: a reset says so
		}
		after = &n
	}
	// The header opens the stream at the gateway, before there is anything to say.
	open := func() error { return stream.SendHeader(metadata.MD{}) }
	err := g.service.Watch(ctx, r.GetLearnerId(), after, open, func(n engine.Notice) error {
		m := &progressv1.WatchProgressResponse{Kind: progressv1.WatchProgressResponse_ENTRY, Sequence: n.Sequence, Awards: awardProtos(n.Awards)}
		if n.Reset {
			m.Kind = progressv1.WatchProgressResponse_RESET
		} else {
			m.Entry = entryProto(n.Record)
		}
		return stream.Send(m)
	})
	if ctx.Err() != nil && stream.Context().Err() == nil {
		return nil // we ended it, perhaps in the middle of a question: the reader comes again
	}
	return err
}

// watchLife is the least that a stream lasts before we end it. Its reader comes again, and so
// meets replicas that were not there before; without it they would never get any watchers.
const watchLife = 10 * time.Minute

// watchUntil ends with ctx, when draining closes, or after life.
func watchUntil(ctx context.Context, draining <-chan struct{}, life time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, life)
	go func() {
		select {
		case <-draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// actorOf is the caller as a learner. A command is none, and is named by its subject.
func actorOf(ctx context.Context) (progress.Actor, error) {
	id, err := auth.LearnerID(ctx)
	if err != nil {
		return progress.Actor{}, err
	}
	p, _ := auth.FromContext(ctx)
	return progress.Actor{ID: cmp.Or(id, p.ActorID()), LearnerID: id, Admin: p.HasRole(auth.RoleAdmin)}, nil
}

// atLeast is what the caller has seen already of the catalog and of profile.
func atLeast(ctx context.Context) engine.AtLeast {
	return engine.AtLeast{
		Catalog: feed.Revision(metadata.ValueFromIncomingContext(ctx, feed.MinCatalogRevision)),
		Profile: feed.Revision(metadata.ValueFromIncomingContext(ctx, feed.MinProfileRevision)),
	}
}

func first(ctx context.Context, key string) string {
	if v := metadata.ValueFromIncomingContext(ctx, key); len(v) > 0 {
		return v[0]
	}
	return ""
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
