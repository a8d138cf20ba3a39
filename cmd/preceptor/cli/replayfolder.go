package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/cmd/preceptor/server"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// inFolder replays the logs of the data folder in this process, where no server has it. why is
// what kept a server from being asked.
func (t *replayTool) inFolder(ctx context.Context, why error, show func(*replayed) error) (err error) {
	if _, serr := os.Stat(filepath.Join(t.data, server.ProgressName+".db")); serr != nil {
		return fmt.Errorf("%w; nor is there a %s.db in %s to work on", why, server.ProgressName, t.data)
	}
	idle, stop, err := server.OpenIdleProgress(ctx, t.data, t.now)
	if errs.ReasonOf(err) == sqldb.ReasonFolderLocked {
		return fmt.Errorf("%w; and %w: say where that server is with --server", why, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return t.ask(auth.NewContext(ctx, auth.Principal{Issuer: "command", Subject: t.subject}), idle, show)
}

// ask calls the service's own face, so that what is told is what a server would tell.
func (t *replayTool) ask(ctx context.Context, idle progressv1.ProgressServiceServer, show func(*replayed) error) error {
	if t.rebuild {
		//nolint:contextcheck // the stream holds it
		return idle.RebuildProgress(&progressv1.RebuildProgressRequest{LearnerId: t.learner, Restart: t.restart}, localStream[replayed]{ctx: ctx, send: show})
	}
	//nolint:contextcheck // the stream holds it
	return idle.VerifyProgress(&progressv1.VerifyProgressRequest{LearnerId: t.learner}, localStream[progressv1.VerifyProgressResponse]{
		ctx: ctx,
		send: func(m *progressv1.VerifyProgressResponse) error {
			return show(&replayed{Drift: m.GetDrift(), Status: m.GetStatus()})
		},
	})
}

// localStream hands a stream's messages to a function.
type localStream[T any] struct {
	grpc.ServerStream

	ctx  context.Context //nolint:containedctx // a stream answers its context
	send func(*T) error
}

func (s localStream[T]) Context() context.Context { return s.ctx }

func (s localStream[T]) Send(m *T) error { return s.send(m) }
