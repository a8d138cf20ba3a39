// Package server runs the services and the gateway, in one process or in several: settings,
// wiring, listeners, health, telemetry and the orderly stop.
package server

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/preceptor-dev/preceptor/internal/backup"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// stopTimeout bounds the whole of an orderly stop, after the drain delay. The two and some
// seconds of haste fit into the half minute that orchestrators give.
const stopTimeout = 20 * time.Second

// Options are what a server is made of.
type Options struct {
	Config  *Config
	Logger  *slog.Logger
	Now     func() time.Time
	Version string
	// Ready is called once everything is served; nil for nothing.
	Ready func(Endpoints)
}

// Endpoints are the addresses that are served; nil where there is none.
type Endpoints struct{ HTTP, GRPC, Health, Metrics net.Addr }

// Run starts what the settings ask for, and stops it when ctx ends or a part of it fails.
func Run(ctx context.Context, o Options) (err error) {
	relaxCollector()
	h := &house{cfg: o.Config, log: o.Logger, now: o.Now, version: o.Version, failed: make(chan error, 1)}
	defer func() {
		stopped := h.stop(ctx)
		if err == nil {
			err = stopped
		}
	}()
	if err := h.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // a start that was called off is no failure
		}
		return err
	}
	h.serving = true
	if o.Ready != nil {
		o.Ready(Endpoints{HTTP: h.front, GRPC: h.face, Health: h.health, Metrics: h.measured})
	}
	select {
	case <-ctx.Done():
		o.Logger.Info("stopping")
		return nil
	case err := <-h.failed:
		return err
	}
}

// start opens all that cfg asks for.
func (h *house) start(ctx context.Context) error {
	if err := h.openTelemetry(ctx); err != nil {
		return err
	}
	if h.cfg.needsFolder() {
		if err := MakeFolder(h.cfg.Data); err != nil {
			return err
		}
		if err := backup.CheckWhole(h.cfg.Data); err != nil {
			return err
		}
	}
	if h.cfg.Only == "" {
		return h.startAll(ctx)
	}
	return h.startOne(ctx)
}

// rooms are the three services, open in this process.
type rooms struct{ profile, catalog, progress *service }

// ways are the connections to them for one caller, without a network.
func (r rooms) ways(caller string) ways {
	return ways{
		profile:  r.profile.server.InProcess(caller),
		catalog:  r.catalog.server.InProcess(caller),
		progress: r.progress.server.InProcess(caller),
	}
}

// startAll runs everything in this process. The services reach each other by the
// same clients as over a network, and pass the same interceptors.
func (h *house) startAll(ctx context.Context) error {
	if h.cfg.DatabaseURL != "" {
		h.log.WarnContext(ctx, "a database url is set, and means nothing to everything in one process: its records are in the data folder")
	}
	for _, name := range Names() {
		if err := h.lock(name); err != nil {
			return err
		}
	}
	front, err := h.listen(ctx, h.cfg.HTTP, "--http")
	if err != nil {
		return err
	}
	r, err := h.openAll(ctx)
	if err != nil {
		return err
	}
	gateway, err := h.openGateway(ctx, r.ways(GatewayName), r.progress.state)
	if err != nil {
		return err
	}
	h.measureState(ctx, r.progress.state)
	if h.cfg.GRPC != "" {
		if err := h.offerGRPC(ctx, r); err != nil {
			return err
		}
	}
	if err := r.progress.await(ctx); err != nil {
		return err
	}
	h.serveHTTP(front, gateway)
	return nil
}

// openAll opens the services in the order in which they need each other. The catalog is
// first, and asks progress for nothing that it could not go without.
func (h *house) openAll(ctx context.Context) (r rooms, err error) {
	if err := h.openVerifier(ctx); err != nil {
		return r, err
	}
	dbs := map[string]*sqldb.DB{}
	for _, name := range Names() {
		if dbs[name], err = h.openDB(ctx, name); err != nil {
			return r, err
		}
	}
	toProgress := &laterConn{}
	if r.catalog, err = h.openCatalog(ctx, dbs[CatalogName], toProgress); err != nil {
		return r, err
	}
	if r.profile, err = h.openProfile(ctx, dbs[ProfileName], r.catalog.server.InProcess(ProfileName)); err != nil {
		return r, err
	}
	r.progress, err = h.openProgress(ctx, dbs[ProgressName], r.catalog.server.InProcess(ProgressName), r.profile.server.InProcess(ProgressName))
	if err != nil {
		return r, err
	}
	toProgress.open(r.progress.server.InProcess(CatalogName))
	return r, nil
}

// startOne runs one service, or the gateway, with the others across the network.
func (h *house) startOne(ctx context.Context) error {
	if err := h.openIdentity(ctx); err != nil {
		return err
	}
	if h.cfg.Only == GatewayName {
		return h.startGateway(ctx)
	}
	if !h.cfg.OnPostgres() {
		if err := h.lock(h.cfg.Only); err != nil {
			return err
		}
	}
	// Whoever asks is told what the start waits for. The service's own door opens after the
	// wait: a caller that is refused tries elsewhere, and one that is let in waits as well.
	if err := h.offerHealthPages(ctx); err != nil {
		return err
	}
	db, err := h.openDB(ctx, h.cfg.Only)
	if err != nil {
		return err
	}
	lis, err := h.listen(ctx, h.cfg.Listen, "--listen")
	if err != nil {
		return err
	}
	if err := h.openVerifier(ctx); err != nil {
		return err
	}
	w, err := h.dial()
	if err != nil {
		return err
	}
	s, err := h.openOnly(ctx, db, w)
	if err != nil {
		return err
	}
	h.measureState(ctx, s.state)
	h.offerHealth(ctx, s)
	h.serveRPC(lis, s.server)
	return nil
}

func (h *house) openOnly(ctx context.Context, db *sqldb.DB, w ways) (s *service, err error) {
	switch h.cfg.Only {
	case CatalogName:
		s, err = h.openCatalog(ctx, db, w.progress)
	case ProfileName:
		s, err = h.openProfile(ctx, db, w.catalog)
	default:
		s, err = h.openProgress(ctx, db, w.catalog, w.profile)
	}
	if err == nil && h.cfg.OnPostgres() {
		s.watched(db, h.log)
	}
	return s, err
}

func (h *house) startGateway(ctx context.Context) error {
	front, err := h.listen(ctx, h.cfg.HTTP, "--http")
	if err != nil {
		return err
	}
	w, err := h.dial()
	if err != nil {
		return err
	}
	h.tellLinks(ctx)
	state := newPeers(w).state
	gateway, err := h.openGateway(ctx, w, state)
	if err != nil {
		return err
	}
	h.measureState(ctx, state)
	h.serveHTTP(front, gateway)
	return nil
}
