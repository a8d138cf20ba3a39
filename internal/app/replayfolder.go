package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"google.golang.org/grpc"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/cache"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
	progressstore "github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// inFolder replays the logs of the data folder in this process, where no server has it: the
// catalog is the one that progress stored last. why is what kept a server from being asked.
func (t *replayTool) inFolder(ctx context.Context, why error, show func(*replayed) error) (err error) {
	if _, serr := os.Stat(filepath.Join(t.data, progressName+".db")); serr != nil {
		return fmt.Errorf("%w; nor is there a %s.db in %s to work on", why, progressName, t.data)
	}
	if err := wholeFolder(t.data); err != nil {
		return err
	}
	h := &house{cfg: &Config{Data: t.data}, log: slog.New(slog.DiscardHandler), now: t.now}
	defer func() { err = errors.Join(err, h.stop(ctx)) }()
	release, err := sqldb.LockFolder(t.data, progressName)
	if errs.ReasonOf(err) == sqldb.ReasonFolderLocked {
		return fmt.Errorf("%w; and %w: say where that server is with --server", why, err)
	}
	if err != nil {
		return folderFault(t.data, err)
	}
	h.onStop(func(context.Context) error { return release() })
	relaxCollector()
	db, err := h.openDB(ctx, progressName)
	if err != nil {
		return err
	}
	store := progressstore.New(db)
	service, err := progress.NewIdle(ctx, store, progress.Options{
		Catalog: keptCatalog{store}, Cache: cache.NewMemory(1<<10, h.now), CommitLanes: 1, Alone: true, Now: h.now, Logger: h.log,
	})
	if err != nil {
		return err
	}
	h.onStop(func(context.Context) error {
		service.Close()
		return nil
	})
	return t.ask(auth.NewContext(ctx, auth.Principal{Issuer: "command", Subject: t.subject}), progress.NewServer(service, nil), show)
}

// ask calls the service's own face, so that what is told is what a server would tell.
func (t *replayTool) ask(ctx context.Context, server *progress.Server, show func(*replayed) error) error {
	if t.rebuild {
		//nolint:contextcheck // the stream holds it
		return server.RebuildProgress(&progressv1.RebuildProgressRequest{LearnerId: t.learner, Restart: t.restart}, localStream[replayed]{ctx: ctx, send: show})
	}
	//nolint:contextcheck // the stream holds it
	return server.VerifyProgress(&progressv1.VerifyProgressRequest{LearnerId: t.learner}, localStream[progressv1.VerifyProgressResponse]{
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

// keptCatalog is the catalog as progress stored it last.
type keptCatalog struct{ store *progressstore.Store }

// Sync answers all of it.
func (k keptCatalog) Sync(ctx context.Context, _ int64) (progress.CatalogDelta, error) {
	return k.store.LoadCatalog(ctx)
}
