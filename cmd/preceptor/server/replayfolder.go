package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/backup"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/grpcapi"
	"github.com/preceptor-dev/preceptor/services/progress/replay"
	progressstore "github.com/preceptor-dev/preceptor/services/progress/sqlstore"
)

// OpenIdleProgress opens progress on a data folder that no server has. It follows neither the catalog nor
// profile: the catalog is the one that progress stored last. stop closes it, and lets the folder go.
func OpenIdleProgress(ctx context.Context, dir string, now func() time.Time) (_ progressv1.ProgressServiceServer, stop func() error, err error) {
	h := &house{cfg: &Config{Data: dir}, log: slog.New(slog.DiscardHandler), now: now}
	stop = func() error { return h.stop(ctx) }
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()
	if err := backup.CheckWhole(dir); err != nil {
		return nil, stop, err
	}
	release, err := sqldb.LockFolder(dir, ProgressName)
	if errs.ReasonOf(err) == sqldb.ReasonFolderLocked {
		return nil, stop, err
	}
	if err != nil {
		return nil, stop, FolderError(dir, err)
	}
	h.onStop(func(context.Context) error { return release() })
	relaxCollector()
	db, err := h.openDB(ctx, ProgressName)
	if err != nil {
		return nil, stop, err
	}
	store := progressstore.New(db)
	catalog, err := engine.NewCatalogFollower(ctx, keptCatalog{store}, store, h.log, h.now)
	if err != nil {
		return nil, stop, err
	}
	replays := replay.New(store, replay.Options{Catalog: catalog, Zone: new(engine.Zones).Of, Alone: true, Now: h.now, Logger: h.log})
	return grpcapi.NewServer(nil, nil, replays, nil), stop, nil
}

// Restored makes a service's restored database another one than it was, where that matters.
func Restored(ctx context.Context, service string, db *sqldb.DB) error {
	if service != ProgressName {
		return nil
	}
	return progressstore.New(db).Renew(ctx)
}

// keptCatalog is the catalog as progress stored it last.
type keptCatalog struct{ store *progressstore.Store }

// Sync answers all of it.
func (k keptCatalog) Sync(ctx context.Context, _ int64) (progress.CatalogDelta, error) {
	return k.store.LoadCatalog(ctx)
}
