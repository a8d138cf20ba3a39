// Package grpcapi is progress's gRPC API: it translates between the generated messages and the
// domain, and nothing else.
package grpcapi

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
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

// BatchRecordEvents records what a learner did.
func (g *Server) BatchRecordEvents(ctx context.Context, r *progressv1.BatchRecordEventsRequest) (*progressv1.BatchRecordEventsResponse, error) {
	events := make([]progress.Event, len(r.GetEvents()))
	sent, bad := sentAt(r)
	for i, e := range r.GetEvents() {
		events[i] = eventOf(e)
		if len(e.GetEventId()) != 36 || uuid.Validate(e.GetEventId()) != nil {
			bad = append(
				bad,
				errs.Violation{
					Field:       fmt.Sprintf("events[%d].eventId", i),
					Description: "must be a UUID: it distinguishes a new event from one sent again",
					Reason:      errs.ReasonInvalidUUID,
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
	recorded, err := g.service.Record(ctx, engine.Recording{
		LearnerID: r.GetLearnerId(), Actor: actor, Events: events, SentAt: sent, Seen: atLeast(ctx),
		Touched: r.GetInclude() == progressv1.BatchRecordEventsRequest_PROGRESS,
	})
	if err != nil {
		return nil, err
	}
	out := &progressv1.BatchRecordEventsResponse{
		AsOfSequence: recorded.AsOfSequence, LogId: recorded.LogID, Awards: awardProtos(recorded.Awards), Progress: touchedProto(recorded.Touched),
	}
	for i := range recorded.Results {
		// The id is answered as it was sent, in its own case.
		out.Results = append(out.Results, resultProto(r.GetEvents()[i].GetEventId(), &recorded.Results[i]))
	}
	return out, nil
}

// sentAt is what the device's clock showed when it sent the request; zero where it does not say.
func sentAt(r *progressv1.BatchRecordEventsRequest) (time.Time, []errs.Violation) {
	t := r.GetSentAt()
	if t == nil {
		return time.Time{}, nil
	}
	if at := t.AsTime(); t.IsValid() && at.After(time.Unix(0, 0)) {
		return at.Truncate(time.Microsecond), nil
	}
	return time.Time{}, []errs.Violation{{
		Field: "sentAt", Description: "must be the device's clock, after 1970-01-01T00:00:00Z and before the year 10000", Reason: errs.ReasonOutOfRange,
	}}
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
	out := &progressv1.ListEventsResponse{AsOfSequence: head.Sequence, NextAfterSequence: r.GetAfterSequence(), LogId: g.service.LogID(head.Timeline)}
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
		o, err := w.Overview()
		if err != nil {
			return nil, err
		}
		return overviewProto(o), nil
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

// answer computes an answer, or takes it from the cache, and sets its headers.
func (g *Server) answer(ctx context.Context, learnerID, route string, out proto.Message, compute func(*progress.View) (proto.Message, error)) error {
	a, err := g.read(ctx, learnerID, route, out, compute)
	if err != nil {
		return err
	}
	return setHeaders(ctx, a, a.ETag)
}

// setHeaders sets an answer's ETag and validator, and more in pairs; or that the caller has it.
func setHeaders(ctx context.Context, a engine.Answer, etag string, more ...string) error {
	if a.Unchanged != "" {
		return rpc.Unchanged(ctx, a.Unchanged, more...)
	}
	return grpc.SetHeader(ctx, metadata.Pairs(append(more, "etag", etag, rpc.ValidatorKey, a.Validator)...))
}

// read computes an answer, or takes it from the cache. It goes into out as it is encoded; nothing if the caller has it.
func (g *Server) read(
	ctx context.Context, learnerID, route string, out proto.Message, compute func(*progress.View) (proto.Message, error),
) (engine.Answer, error) {
	a, err := g.service.Read(ctx, learnerID, route, atLeast(ctx), func(w *progress.View) ([]byte, error) {
		m, err := compute(w)
		if err != nil {
			return nil, err
		}
		return proto.Marshal(m)
	})
	if err == nil {
		rpc.Encoded(out, a.Body)
	}
	return a, err
}

// WatchProgress streams log entries as they are written.
func (g *Server) WatchProgress(r *progressv1.WatchProgressRequest, stream grpc.ServerStreamingServer[progressv1.WatchProgressResponse]) error {
	if err := ticketOutside(r); err != nil {
		return err
	}
	ctx, cancel := forWatchLife(stream.Context())
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
	asked := engine.Watching{LearnerID: r.GetLearnerId(), Reader: readerOf(ctx), After: after, Ending: g.draining}
	err := g.service.Watch(ctx, asked, open, func(n engine.Notice) error {
		m := &progressv1.WatchProgressResponse{
			Kind: progressv1.WatchProgressResponse_ENTRY, Sequence: n.Sequence, Awards: awardProtos(n.Awards), LogId: n.LogID,
		}
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

// forWatchLife is ctx for as long as a stream lasts; not all that begin together end together.
func forWatchLife(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, watchLife+rand.N(watchLife/2)) //nolint:gosec // jitter is no secret
}

// readerOf identifies who watches; "" for a service of ours.
func readerOf(ctx context.Context) string {
	if p, _ := auth.FromContext(ctx); p.Subject != "" {
		return p.ActorID()
	}
	return ""
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
		Answers: rpc.Known(ctx),
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
