package gateway_test

import (
	"strings"
	"testing"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/preceptor-dev/preceptor/gateway"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// watcher is a progress service that does nothing but stream.
type watcher struct {
	progressv1.UnimplementedProgressServiceServer

	play func(s grpc.ServerStreamingServer[progressv1.WatchProgressResponse]) error
}

func (w watcher) WatchProgress(_ *progressv1.WatchProgressRequest, s grpc.ServerStreamingServer[progressv1.WatchProgressResponse]) error {
	return w.play(s)
}

// TestWatchInProcess: a stream without a network between gateway and service fails
// early, opens and ends as one over a network does.
func TestWatchInProcess(t *testing.T) {
	service := &watcher{}
	channel := &inprocgrpc.Channel{}
	progressv1.RegisterProgressServiceServer(channel, service)
	h := open(t, func(c *gateway.Config) { c.Conns["progress"] = channel })
	service.play = func(grpc.ServerStreamingServer[progressv1.WatchProgressResponse]) error {
		return fault(codes.PermissionDenied, "NOT_YOUR_DATA", "this is another learner's")
	}
	h.get(t, watchPath).wantProblem(t, 403, "NOT_YOUR_DATA")
	service.play = func(s grpc.ServerStreamingServer[progressv1.WatchProgressResponse]) error {
		if err := s.SendHeader(metadata.Pairs("a", "b")); err != nil {
			return err
		}
		if err := s.Send(entry(1)); err != nil {
			return err
		}
		return fault(codes.Unavailable, "BUSY", "gone")
	}
	a := h.get(t, watchPath)
	if a.status != 200 || !strings.Contains(a.body, "id: 1\ndata: {") || !strings.Contains(a.body, "event: error\ndata: {\"type\":\"/docs#reason-BUSY\"") {
		t.Errorf("%d %s", a.status, a.body)
	}
	service.play = func(grpc.ServerStreamingServer[progressv1.WatchProgressResponse]) error { return nil }
	if a := h.get(t, watchPath); a.status != 200 || strings.Contains(a.body, "error") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
