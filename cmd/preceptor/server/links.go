package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// link is the connection to one other service.
type link struct {
	name string
	conn *grpc.ClientConn
}

// ways are the connections to the services.
type ways struct{ profile, catalog, progress grpc.ClientConnInterface }

// dial makes the connections to the other services; each connects when it is first used,
// and again after a failure.
func (h *house) dial() (ways, error) {
	var w ways
	for _, peer := range []struct {
		name, addr string
		to         *grpc.ClientConnInterface
	}{
		{ProfileName, h.cfg.ProfileAddr, &w.profile}, {CatalogName, h.cfg.CatalogAddr, &w.catalog}, {ProgressName, h.cfg.ProgressAddr, &w.progress},
	} {
		conn, err := rpc.Dial(peer.addr, rpc.DialOptions{TLS: h.identity.ClientTLS(peer.name), Tracer: h.tracer})
		if err != nil {
			return w, Usagef("--%s-addr %s is no address: give host:port, or several with commas between", peer.name, peer.addr)
		}
		h.links = append(h.links, link{peer.name, conn})
		h.onStop(func(context.Context) error { return conn.Close() })
		*peer.to = conn
	}
	return w, nil
}

// unreached names the other services that calls were made to, and that do not answer now.
func (h *house) unreached() []string {
	var names []string
	for _, l := range h.links {
		if l.conn.GetState() == connectivity.TransientFailure {
			names = append(names, l.name+" cannot be reached")
		}
	}
	return names
}

// tellLinks logs once when no replica of another service can be reached any more, and once when
// one is again. It is the gateway's: progress tells so of the two that it follows, and to the
// others a call that fails is news enough.
func (h *house) tellLinks(ctx context.Context) {
	run := h.untilStop(ctx)
	for _, l := range h.links {
		go func() {
			away := false
			for state := l.conn.GetState(); ; state = l.conn.GetState() {
				switch {
				case state == connectivity.TransientFailure && !away:
					away = true
					h.log.WarnContext(run, l.name+" cannot be reached; what needs it is answered 503", "error", l.why(run))
				case state == connectivity.Ready && away:
					away = false
					h.log.InfoContext(run, l.name+" is reachable again")
				}
				if !l.conn.WaitForStateChange(run, state) {
					return
				}
			}
		}()
	}
}

// why is what a call says of a connection that cannot be made.
func (l link) why(ctx context.Context) string {
	_, err := healthv1.NewHealthClient(l.conn).Check(ctx, &healthv1.HealthCheckRequest{})
	return status.Convert(err).Message()
}
