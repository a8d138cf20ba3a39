package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// stopTimeout bounds the whole of an orderly stop, after the drain delay. The two and some
// seconds of haste fit into the half minute that orchestrators give.
const stopTimeout = 20 * time.Second

func (p Process) serveCommand() *cli.Command {
	var cfg Config
	return &cli.Command{
		Name:      "serve",
		Usage:     "run everything in this process, or one service of it",
		ArgsUsage: "[profile|catalog|progress|gateway]",
		Description: "Without an argument all runs in this process, with its data in one folder.\n" +
			"With one, that service runs alone and speaks gRPC over mutual TLS with the others;\n" +
			"they may be started in any order. On one machine, in one folder:\n\n" +
			"   preceptor serve --http 127.0.0.1:8080 --data ./data\n\n" +
			"   preceptor serve profile & preceptor serve catalog & preceptor serve progress & preceptor serve gateway\n\n" +
			"A service by itself may keep its records in Postgres, which `preceptor migrate` has prepared:\n\n" +
			"   preceptor serve progress --database-url postgres://progress:secret@db.example.org:5432/preceptor",
		Flags: cfg.flags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := cfg.complete(c, p.Args); err != nil {
				return err
			}
			logger, err := newLogger(p.Stderr, cfg.LogLevel, cfg.LogFormat)
			if err != nil {
				return err
			}
			if cfg.Only != "" {
				logger = logger.With("service", cfg.Only)
			}
			return p.serve(ctx, &cfg, logger)
		},
	}
}

// serve starts what cfg asks for, and stops it when ctx ends or a part of it fails.
func (p Process) serve(ctx context.Context, cfg *Config, logger *slog.Logger) (err error) {
	relaxCollector()
	h := &house{cfg: cfg, log: logger, now: p.Now, version: p.Version, failed: make(chan error, 1)}
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
	p.welcome(h)
	select {
	case <-ctx.Done():
		logger.Info("stopping")
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
		if err := makeFolder(h.cfg.Data); err != nil {
			return err
		}
		if err := wholeFolder(h.cfg.Data); err != nil {
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
	for _, name := range keepers() {
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
	gateway, err := h.openGateway(ctx, r.ways(gatewayName), r.progress.state)
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
	for _, name := range keepers() {
		if dbs[name], err = h.openDB(ctx, name); err != nil {
			return r, err
		}
	}
	toProgress := &laterConn{}
	if r.catalog, err = h.openCatalog(ctx, dbs[catalogName], toProgress); err != nil {
		return r, err
	}
	if r.profile, err = h.openProfile(ctx, dbs[profileName], r.catalog.server.InProcess(profileName)); err != nil {
		return r, err
	}
	r.progress, err = h.openProgress(ctx, dbs[progressName], r.catalog.server.InProcess(progressName), r.profile.server.InProcess(progressName))
	if err != nil {
		return r, err
	}
	toProgress.open(r.progress.server.InProcess(catalogName))
	return r, nil
}

// startOne runs one service, or the gateway, with the others across the network.
func (h *house) startOne(ctx context.Context) error {
	if err := h.openIdentity(ctx); err != nil {
		return err
	}
	if h.cfg.Only == gatewayName {
		return h.startGateway(ctx)
	}
	if !h.cfg.onPostgres() {
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
	case catalogName:
		s, err = h.openCatalog(ctx, db, w.progress)
	case profileName:
		s, err = h.openProfile(ctx, db, w.catalog)
	default:
		s, err = h.openProgress(ctx, db, w.catalog, w.profile)
	}
	if err == nil && h.cfg.onPostgres() {
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
