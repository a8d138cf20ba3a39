// Package server runs the services and the gateway, in one process or in several: settings,
// wiring by one table of services, listeners, health, telemetry and the orderly stop.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/preceptor-dev/preceptor/gateway"
	"github.com/preceptor-dev/preceptor/internal/backup"
	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// stopTimeout bounds the whole of an orderly stop, after the drain delay: it fits into the
// half minute that orchestrators allow.
const stopTimeout = 20 * time.Second

// Options are what a server is made of.
type Options struct {
	Config *Config
	// Services is the table of services.
	Services Table
	Logger   *slog.Logger
	Now      func() time.Time
	Version  string
	// Ready is called once everything is served; nil for nothing.
	Ready func(Endpoints)
}

// Endpoints are the addresses that are served; nil where there is none.
type Endpoints struct{ HTTP, GRPC, Health, Metrics net.Addr }

// Run starts what the settings name, and stops it when ctx ends or a part of it fails.
func Run(ctx context.Context, o Options) (err error) {
	serving, served := context.WithCancel(context.WithoutCancel(ctx))
	defer served()
	p := newProcess(o)
	go returnMemory(serving, tuneGC(), &p.spare)
	defer func() {
		stopped := p.stop(ctx)
		if err == nil {
			err = stopped
		}
	}()
	if err := p.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // a start that was called off is no failure
		}
		return err
	}
	p.serving = true
	if o.Ready != nil {
		o.Ready(p.at)
	}
	select {
	case <-ctx.Done():
		o.Logger.Info("stopping")
		return nil
	case err := <-p.failed:
		return err
	}
}

// start opens what the settings name.
func (p *process) start(ctx context.Context) error {
	if err := p.open(ctx); err != nil {
		return err
	}
	if p.cfg.needsFolder() {
		p.warnOfOthers(ctx)
	}
	return nil
}

func (p *process) open(ctx context.Context) error {
	if err := p.openTelemetry(ctx); err != nil {
		return err
	}
	if p.cfg.needsFolder() {
		if err := MakeFolder(p.cfg.Data); err != nil {
			return err
		}
		if err := backup.CheckWhole(p.cfg.Data); err != nil {
			return err
		}
	}
	if err := p.openCallers(ctx); err != nil {
		return err
	}
	switch p.cfg.Only {
	case "":
		return p.startAll(ctx)
	case Gateway:
		return p.startGateway(ctx)
	}
	return p.startOne(ctx)
}

// startAll runs everything in this process. The services call each other by the same clients as
// over a network, and their calls pass the same interceptors.
func (p *process) startAll(ctx context.Context) error {
	if p.cfg.DatabaseURL != "" {
		p.log.WarnContext(ctx, "a database url is set and not used: everything in one process stores its records in the data folder")
	}
	for _, s := range p.table {
		if err := p.lock(s.Name); err != nil {
			return err
		}
	}
	front, err := p.listen(ctx, p.cfg.HTTP, "--http")
	if err != nil {
		return err
	}
	if err := p.offerHealthPages(ctx); err != nil {
		return err
	}
	if err := p.openVerifier(ctx); err != nil {
		return err
	}
	if err := p.openAll(ctx, p.table); err != nil {
		return err
	}
	p.report(p.ownState)
	p.ready = func(ctx context.Context) bool { return p.ownState(ctx).Ready }
	gateway, err := p.openGateway(ctx, p.inProcess(Gateway, p.table.Names()))
	if err != nil {
		return err
	}
	if p.cfg.GRPC != "" {
		if err := p.offerGRPC(ctx); err != nil {
			return err
		}
	}
	if err := p.awaitReady(ctx); err != nil {
		return err
	}
	p.serveHTTP(front, gateway)
	return nil
}

// openAll opens services in this process, each after those that it needs.
func (p *process) openAll(ctx context.Context, services Table) error {
	dbs := map[string]*sqldb.DB{}
	for _, s := range services {
		var err error
		if dbs[s.Name], err = p.openDB(ctx, s); err != nil {
			return err
		}
	}
	for _, s := range services.InStartOrder() {
		if err := p.openService(ctx, s, dbs[s.Name], p.inProcess(s.Name, s.peers())); err != nil {
			return err
		}
	}
	return nil
}

// startOne runs one service, with the others across the network.
func (p *process) startOne(ctx context.Context) error {
	if err := p.openIdentity(ctx); err != nil {
		return err
	}
	if !p.cfg.OnPostgres() {
		if err := p.lock(p.cfg.Only); err != nil {
			return err
		}
	}
	// The health pages are there while the start waits, and report what for. The service's own
	// listener opens after the wait: a caller that is refused tries another replica, and one that
	// is accepted would wait as well.
	if err := p.offerHealthPages(ctx); err != nil {
		return err
	}
	row, _ := p.table.Find(p.cfg.Only)
	db, err := p.openDB(ctx, row)
	if err != nil {
		return err
	}
	lis, err := p.listen(ctx, p.cfg.Listen, "--listen")
	if err != nil {
		return err
	}
	if err := p.openVerifier(ctx); err != nil {
		return err
	}
	conns, err := p.dial(row.peers(), nil)
	if err != nil {
		return err
	}
	if err := p.openService(ctx, row, db, conns); err != nil {
		return err
	}
	if p.cfg.OnPostgres() {
		p.opened[0].watchDatabase(db, p.log)
	}
	p.report(func(ctx context.Context) health.State {
		return health.State{Ready: true, Degraded: p.unreached()}.And(p.ownState(ctx))
	})
	p.offerHealth(ctx, p.opened[0].server)
	p.serveRPC(lis, p.opened[0].server)
	return nil
}

// startGateway runs the gateway, with the services across the network.
func (p *process) startGateway(ctx context.Context) error {
	if err := p.openIdentity(ctx); err != nil {
		return err
	}
	front, err := p.listen(ctx, p.cfg.HTTP, "--http")
	if err != nil {
		return err
	}
	if err := p.offerHealthPages(ctx); err != nil {
		return err
	}
	if err := p.openVerifier(ctx); err != nil {
		return err
	}
	// Progress keeps in memory what it knows of the learners that it serves.
	conns, err := p.dial(p.table.Names(), map[string]func(context.Context) string{Progress: gateway.LearnerOf})
	if err != nil {
		return err
	}
	p.logPeers(ctx)
	all := newPeers(p.table, conns)
	p.report(func(ctx context.Context) health.State {
		return all.state(ctx).And(health.State{Ready: true, Degraded: p.unverified()})
	})
	handler, err := p.openGateway(ctx, conns)
	if err != nil {
		return err
	}
	p.serveHTTP(front, handler)
	return nil
}

// awaitReady returns when the services in this process can do their work.
func (p *process) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(stopTimeout)
	for {
		state := p.state(ctx)
		if state.Ready {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("the start takes too long: %s", strings.Join(state.Texts(), "; "))
		}
	}
}
