package server

import (
	"context"
	"net/http"
	"time"

	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// healthEvery is how often a service's state is set for clients that ask by gRPC.
const healthEvery = time.Second

// report sets what the state of this process is from now on, but for its end.
func (p *process) report(state func(context.Context) health.State) { p.reported.Store(&state) }

// state is the state of this process, from the beginning of its start to the end of its stop.
func (p *process) state(ctx context.Context) health.State {
	state := health.State{Reason: "starting"}
	if reported := p.reported.Load(); reported != nil {
		state = (*reported)(ctx)
	} else if why := p.waiting.Load(); why != nil {
		state.Reason, state.Degraded = why.Text, []health.Missing{*why}
	}
	if p.draining.Load() {
		state.Ready, state.Reason = false, "draining"
	}
	return state
}

// offerHealth reports the state by gRPC.
func (p *process) offerHealth(ctx context.Context, server *rpc.Server) {
	run := p.untilStop(ctx)
	set := func(ctx context.Context) {
		state := p.state(ctx)
		server.SetServing(state.Ready, len(state.Degraded) == 0)
	}
	set(ctx)
	p.run(func() error {
		tick := time.NewTicker(healthEvery)
		defer tick.Stop()
		for {
			select {
			case <-run.Done():
				return nil
			case <-tick.C:
				set(run)
			}
		}
	})
}

// offerHealthPages reports the state by HTTP where that is asked for, from before the service is open.
// An address that nobody asked for may be in use: a second program on a machine is no mistake.
func (p *process) offerHealthPages(ctx context.Context) error {
	if p.cfg.HealthAddr == "" {
		return nil
	}
	lis, err := p.listen(ctx, p.cfg.HealthAddr, "--health-addr")
	if err != nil {
		return err
	}
	p.at.Health = lis.Addr()
	pages := http.NewServeMux()
	pages.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health.WriteAlive(w, p.version) })
	pages.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { p.state(r.Context()).Write(w) })
	p.servePages(lis, pages, "health")
	return nil
}
