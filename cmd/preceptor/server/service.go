package server

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc"

	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	"github.com/preceptor-dev/preceptor/internal/audit"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
)

// service is one that is open in this process.
type service struct {
	Opened

	name   string
	db     *sqldb.DB
	server *rpc.Server
	// audit serves the service's chain of admin commands; nil where it records none.
	audit *audit.Server
}

// openService opens a service on its database, and gives it a server.
func (p *process) openService(ctx context.Context, row Service, db *sqldb.DB, conns map[string]grpc.ClientConnInterface) error {
	opened, err := row.Open(ctx, Opening{
		Config: p.cfg, Logger: p.log, Now: p.now, Metrics: p.metrics, Tracer: p.tracer,
		DB: db, Conns: conns, Idle: p.idle, OnStop: p.onStop, Keeps: p.keeps, OnQuiet: p.spare.add,
	})
	if err != nil {
		return err
	}
	s := &service{Opened: opened, name: row.Name, db: db}
	if s.State == nil {
		s.State = func(context.Context) health.State { return health.State{Ready: true} }
	}
	s.watchRefusal()
	if s.server, err = p.newServer(ctx, opened, row.MaxRecv); err != nil {
		return err
	}
	s.Register(s.server, s.server.Draining())
	if row.Audited {
		s.audit = audit.NewServer(row.Name, db)
		auditv1.RegisterAuditServiceServer(s.server, s.audit)
	}
	p.opened = append(p.opened, s)
	for _, l := range p.later {
		if l.to == row.Name {
			l.open(s.server.InProcess(l.from))
		}
	}
	return nil
}

// find returns the open service of a name, or nil.
func (p *process) find(name string) *service {
	if i := slices.IndexFunc(p.opened, func(s *service) bool { return s.name == name }); i >= 0 {
		return p.opened[i]
	}
	return nil
}

// inProcess returns one caller's connections to services of this process, also to those that open later.
func (p *process) inProcess(caller string, names []string) map[string]grpc.ClientConnInterface {
	conns := map[string]grpc.ClientConnInterface{}
	for _, name := range names {
		if s := p.find(name); s != nil {
			conns[name] = s.server.InProcess(caller)
			continue
		}
		later := &laterConn{from: caller, to: name}
		p.later = append(p.later, later)
		conns[name] = later
	}
	return conns
}

// ownState is the state of the services that are open in this process.
func (p *process) ownState(ctx context.Context) health.State {
	all := health.State{Ready: true}
	for _, s := range p.opened {
		all = all.And(s.State(ctx))
	}
	return all.And(health.State{Ready: true, Degraded: p.unverified()})
}

// watchDatabase adds to a service's state whether its Postgres is there, and logs once when it is not any
// more and once when it is again. A service stays ready meanwhile: calls fail with UNAVAILABLE and a
// reason, and no other replica could serve them better.
func (s *service) watchDatabase(db *sqldb.DB, log *slog.Logger) {
	inner := s.State
	var away atomic.Bool
	s.State = func(ctx context.Context) health.State {
		state := inner(ctx)
		look, cancel := context.WithTimeout(ctx, peerTimeout)
		defer cancel()
		err := db.Ping(look)
		switch {
		case ctx.Err() != nil: // the caller has left, which is no fault of the database
		case err != nil && !away.Swap(true):
			log.WarnContext(ctx, "the database cannot be reached; calls that need it are answered UNAVAILABLE", "error", errs.OneLine(err))
		case err == nil && away.Swap(false):
			log.InfoContext(ctx, "the database is reachable again")
		}
		if err != nil {
			state.Degraded = append(state.Degraded, health.Missing{Dependency: health.Database, Text: s.name + " does not reach its database"})
		}
		return state
	}
}
