package gateway_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/preceptor-dev/preceptor/gateway"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// inProcess is a connection to a service in this process, and the header with an admin's token for it.
func inProcess(tb testing.TB, register func(grpc.ServiceRegistrar)) (conn grpc.ClientConnInterface, authorization string) {
	tb.Helper()
	issuer, err := auth.NewLocalIssuer(testenv.Now)
	if err != nil {
		tb.Fatal(err)
	}
	token, err := issuer.Mint("ada", []auth.Role{auth.RoleAdmin}, "", time.Hour)
	if err != nil {
		tb.Fatal(err)
	}
	verifier, err := auth.NewVerifier(auth.VerifierOptions{Local: issuer, Now: testenv.Now})
	if err != nil {
		tb.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	guard, err := auth.NewGuard(auth.GuardOptions{Verifier: verifier, Logger: logger, Now: testenv.Now})
	if err != nil {
		tb.Fatal(err)
	}
	server, err := rpc.NewServer(rpc.Options{Guard: guard, Logger: logger, Now: testenv.Now, MaxRecv: 32 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	register(server)
	return server.InProcess("gateway"), "Bearer " + token
}

// somebodysWatch is where an admin watches a learner.
const somebodysWatch = "/v1/learners/01900000-0000-7000-8000-00000000ada1/progress:watch"

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
	conn, authorization := inProcess(t, func(r grpc.ServiceRegistrar) { progressv1.RegisterProgressServiceServer(r, service) })
	h := open(t, func(c *gateway.Config) { c.Conns["progress"] = conn })
	service.play = func(grpc.ServerStreamingServer[progressv1.WatchProgressResponse]) error {
		return errs.New(errs.PermissionDenied, errs.ReasonNotYourData, "this is another learner's")
	}
	h.get(t, somebodysWatch, "Authorization", authorization).wantProblem(t, 403, "NOT_YOUR_DATA")
	service.play = func(s grpc.ServerStreamingServer[progressv1.WatchProgressResponse]) error {
		if err := s.SendHeader(metadata.Pairs("a", "b")); err != nil {
			return err
		}
		if err := s.Send(entry(1)); err != nil {
			return err
		}
		return errs.New(errs.Unavailable, errs.ReasonOverloaded, "gone")
	}
	a := h.get(t, somebodysWatch, "Authorization", authorization)
	if a.status != 200 || !strings.Contains(a.body, "id: 1\ndata: {") || !strings.Contains(a.body, "event: error\ndata: {\"type\":\"/docs#reason-OVERLOADED\"") {
		t.Errorf("%d %s", a.status, a.body)
	}
	service.play = func(grpc.ServerStreamingServer[progressv1.WatchProgressResponse]) error { return nil }
	if a := h.get(t, somebodysWatch, "Authorization", authorization); a.status != 200 || strings.Contains(a.body, "error") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
