package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/preceptor-dev/preceptor/internal/rpc"
)

const (
	// healthEvery is how often a service's own state is told to who asks by gRPC.
	healthEvery = time.Second
	// peerTimeout is how long a peer may take to say that it is well.
	peerTimeout = time.Second
)

// offerHealth tells the service's state by gRPC, and on the pages from here on.
func (h *house) offerHealth(ctx context.Context, s *service) {
	run := h.untilStop(ctx)
	tell := func(ctx context.Context) {
		ready, degraded := s.state(ctx)
		s.server.SetServing(ready, len(degraded)+len(h.unreached()) == 0)
	}
	tell(ctx)
	h.only.Store(s)
	h.run(func() error {
		tick := time.NewTicker(healthEvery)
		defer tick.Stop()
		for {
			select {
			case <-run.Done():
				return nil
			case <-tick.C:
				tell(run)
			}
		}
	})
}

// offerHealthPages tells the state by HTTP, when asked to, from before the service is open.
func (h *house) offerHealthPages(ctx context.Context) error {
	if h.cfg.HealthAddr == "" {
		return nil
	}
	lis, err := h.listen(ctx, h.cfg.HealthAddr, "--health-addr")
	if err != nil {
		return err
	}
	h.health = lis.Addr()
	server := newHTTPServer(h.healthPages(), h.log)
	h.onStop(func(context.Context) error { return server.Close() })
	h.run(func() error {
		if err := server.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving health on %s: %w", lis.Addr(), err)
		}
		return nil
	})
	return nil
}

// state is how the one service of this process is, and why it is not ready.
func (h *house) state(ctx context.Context) (ready bool, reason string, degraded []string) {
	if s := h.only.Load(); s != nil {
		ready, degraded = s.state(ctx)
		return ready, "the catalog was never seen", degraded
	}
	if why := h.waiting.Load(); why != nil {
		return false, *why, nil
	}
	return false, "starting", nil
}

// page is what they are answered; the gateway's pages say the same.
type page struct {
	Status   string   `json:"status"`
	Reason   string   `json:"reason,omitempty"`
	Degraded []string `json:"degraded,omitempty"`
	Version  string   `json:"version,omitempty"`
}

// healthPages are what an orchestrator asks a service that speaks gRPC alone.
func (h *house) healthPages() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, page{Status: "alive", Version: h.version})
	})
	pages.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ready, reason, degraded := h.state(r.Context())
		degraded = append(h.unreached(), degraded...)
		p := page{Status: "ready", Degraded: degraded}
		status := http.StatusOK
		switch {
		case h.draining.Load():
			p.Status, p.Reason, status = "unready", "draining", http.StatusServiceUnavailable
		case !ready:
			p.Status, p.Reason, status = "unready", reason, http.StatusServiceUnavailable
		case len(degraded) > 0:
			p.Status = "degraded"
		}
		writeJSON(w, status, p)
	})
	return pages
}

func writeJSON(w http.ResponseWriter, status int, v page) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if text, err := json.Marshal(v); err == nil {
		_, _ = w.Write(text) // a client that has gone away is not told
	}
}

// peers ask the services across the network how they are.
type peers struct{ named []peer }

type peer struct {
	name   string
	client healthv1.HealthClient
}

func newPeers(w ways) *peers {
	p := &peers{}
	for _, each := range []struct {
		name string
		conn grpc.ClientConnInterface
	}{{ProfileName, w.profile}, {CatalogName, w.catalog}, {ProgressName, w.progress}} {
		p.named = append(p.named, peer{each.name, healthv1.NewHealthClient(each.conn)})
	}
	return p
}

// state names the peers that cannot be reached, are not ready, or do without something. A
// gateway can serve without some of them, so it is ready in any case.
func (p *peers) state(ctx context.Context) (ready bool, degraded []string) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	found := make([]string, len(p.named))
	var all sync.WaitGroup
	for i, peer := range p.named {
		all.Go(func() { found[i] = peer.state(ctx) })
	}
	all.Wait()
	for _, text := range found {
		if text != "" {
			degraded = append(degraded, text)
		}
	}
	return true, degraded
}

// state is what is wrong with a peer, or nothing.
func (p peer) state(ctx context.Context) string {
	serving := func(what string) (bool, error) {
		answer, err := p.client.Check(ctx, &healthv1.HealthCheckRequest{Service: what})
		return answer.GetStatus() == healthv1.HealthCheckResponse_SERVING, err
	}
	switch ok, err := serving(""); {
	case err != nil:
		return p.name + " cannot be reached"
	case !ok:
		return p.name + " is not ready"
	}
	// One that is older than the question does not know it.
	if whole, err := serving(rpc.HealthWhole); err == nil && !whole {
		return p.name + " is degraded: its own /readyz says why"
	}
	return ""
}
