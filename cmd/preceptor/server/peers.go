package server

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// peerTimeout is how long a peer may take to report its health.
const peerTimeout = time.Second

// link is the connection to one other service.
type link struct {
	name string
	conn *grpc.ClientConn
}

// dial makes the connections to other services; each connects when it is first used, and again
// after a failure. keys are what calls to a service are about, for those where it matters which replica gets them.
func (p *process) dial(names []string, keys map[string]func(context.Context) string) (map[string]grpc.ClientConnInterface, error) {
	conns := map[string]grpc.ClientConnInterface{}
	for _, name := range names {
		addr := p.cfg.Addrs[name]
		o := rpc.DialOptions{TLS: p.identity.ClientTLS(name), Tracer: p.tracer}
		if o.Key = keys[name]; o.Key != nil {
			o.Routed = p.metrics.Routed(name)
		}
		conn, err := rpc.Dial(addr, o)
		if err != nil {
			return nil, Usagef("--%s-addr %s is not an address: give host:port, or several with commas between", name, addr)
		}
		p.links = append(p.links, link{name, conn})
		p.onStop(func(context.Context) error { return conn.Close() })
		conns[name] = conn
	}
	return conns, nil
}

// unreached names the other services to which calls were made and no connection is possible now.
func (p *process) unreached() []health.Missing {
	var missing []health.Missing
	for _, l := range p.links {
		if l.conn.GetState() == connectivity.TransientFailure {
			missing = append(missing, health.Missing{Dependency: l.name, Text: l.name + " cannot be reached"})
		}
	}
	return missing
}

// logPeers logs once when no replica of another service can be reached any more, and once when one
// is again. Only the gateway does: progress logs it of the two that it follows, and in the others a
// call that fails is report enough.
func (p *process) logPeers(ctx context.Context) {
	run := p.untilStop(ctx)
	for _, l := range p.links {
		go func() {
			away := false
			for state := l.conn.GetState(); ; state = l.conn.GetState() {
				switch {
				case state == connectivity.TransientFailure && !away:
					away = true
					p.log.WarnContext(run, l.name+" cannot be reached; what needs it is answered 503", "error", l.why(run))
				case state == connectivity.Ready && away:
					away = false
					p.log.InfoContext(run, l.name+" is reachable again")
				}
				if !l.conn.WaitForStateChange(run, state) {
					return
				}
			}
		}()
	}
}

// why is the error of a call on a connection that cannot be made.
func (l link) why(ctx context.Context) string {
	_, err := healthv1.NewHealthClient(l.conn).Check(ctx, &healthv1.HealthCheckRequest{})
	return status.Convert(err).Message()
}

// peers ask the services across the network for their health.
type peers []peer

type peer struct {
	name   string
	client healthv1.HealthClient
}

func newPeers(t Table, conns map[string]grpc.ClientConnInterface) peers {
	all := make(peers, len(t))
	for i, s := range t {
		all[i] = peer{s.Name, healthv1.NewHealthClient(conns[s.Name])}
	}
	return all
}

// state names the peers that cannot be reached, are not ready, or do without something. A
// gateway can serve without some of them, so it is ready in any case.
func (all peers) state(ctx context.Context) health.State {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	found := make([]health.Missing, len(all))
	var done sync.WaitGroup
	for i, peer := range all {
		done.Go(func() { found[i] = peer.fault(ctx) })
	}
	done.Wait()
	state := health.State{Ready: true}
	for _, missing := range found {
		if missing.Text != "" {
			state.Degraded = append(state.Degraded, missing)
		}
	}
	return state
}

// fault is what is wrong with a peer, or nothing.
func (p peer) fault(ctx context.Context) health.Missing {
	serving := func(what string) (bool, error) {
		resp, err := p.client.Check(ctx, &healthv1.HealthCheckRequest{Service: what})
		return resp.GetStatus() == healthv1.HealthCheckResponse_SERVING, err
	}
	switch ok, err := serving(""); {
	case err != nil:
		return health.Missing{Dependency: p.name, Text: p.name + " cannot be reached"}
	case !ok:
		return health.Missing{Dependency: p.name, Text: p.name + " is not ready"}
	}
	// A service that is older than this question does not know it.
	if whole, err := serving(rpc.HealthWhole); err == nil && !whole {
		return health.Missing{Text: p.name + " is degraded: its own /readyz says why"}
	}
	return health.Missing{}
}
