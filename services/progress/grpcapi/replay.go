package grpcapi

import (
	"context"

	"google.golang.org/grpc"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress/replay"
)

// VerifyProgress streams where what is stored is not what the logs give.
func (g *Server) VerifyProgress(r *progressv1.VerifyProgressRequest, stream grpc.ServerStreamingServer[progressv1.VerifyProgressResponse]) error {
	return g.replay(stream.Context(), replay.Request{LearnerID: r.GetLearnerId()}, func(p replay.Report) error {
		return stream.Send(&progressv1.VerifyProgressResponse{Drift: driftProto(p.Drift), Status: statusProto(p.Status)})
	})
}

// RebuildProgress stores what the logs give, and streams what it corrected.
func (g *Server) RebuildProgress(r *progressv1.RebuildProgressRequest, stream grpc.ServerStreamingServer[progressv1.RebuildProgressResponse]) error {
	actor, err := actorOf(stream.Context())
	if err != nil {
		return err
	}
	opts := replay.Request{LearnerID: r.GetLearnerId(), Write: true, Restart: r.GetRestart(), ActorID: actor.ID}
	return g.replay(stream.Context(), opts, func(p replay.Report) error {
		return stream.Send(&progressv1.RebuildProgressResponse{Drift: driftProto(p.Drift), Status: statusProto(p.Status)})
	})
}

// errDraining ends a replay when the server stops, and says that nothing is lost.
var errDraining = errs.New(errs.Unavailable, errs.ReasonShuttingDown, "the server is stopping; ask again, and a rebuild goes on from where it is")

// replay replays until the caller goes away or the server stops.
func (g *Server) replay(ctx context.Context, opts replay.Request, report func(replay.Report) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-g.draining:
			cancel(errDraining)
		case <-ctx.Done():
		}
	}()
	err := g.replays.Run(ctx, opts, report)
	if err != nil && context.Cause(ctx) == error(errDraining) { //nolint:errorlint // the very one
		return errDraining
	}
	return err
}

func driftProto(d *replay.Drift) *progressv1.Drift {
	if d == nil {
		return nil
	}
	return &progressv1.Drift{
		LearnerId: d.LearnerID, Kind: progressv1.Drift_Kind(progressv1.Drift_Kind_value[string(d.Kind)]), Id: d.ID, Stored: d.Stored, Replayed: d.Replayed,
	}
}

func statusProto(s *replay.Status) *progressv1.ReplayStatus {
	if s == nil {
		return nil
	}
	return &progressv1.ReplayStatus{
		LearnersDone: s.Done, LearnersTotal: s.Total, EntriesRead: s.Entries, LearnersDrifted: s.Drifted, Resumed: s.Resumed, Finished: s.Finished,
	}
}
