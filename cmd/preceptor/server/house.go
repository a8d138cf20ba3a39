package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/metrics"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// house is what is open while the program serves.
type house struct {
	cfg      *Config
	log      *slog.Logger
	now      func() time.Time
	version  string
	verifier *auth.Verifier
	// metrics, calls and tracer are nil while nobody asked for them.
	metrics *metrics.Registry
	calls   func(method, code string, took time.Duration)
	tracer  *tracing.Tracer
	// identity is nil while everything runs in this process.
	identity rpc.Identity

	// closers undo the start, the last one first.
	closers []func(context.Context) error
	// failed gets the first error of what runs by itself.
	failed chan error
	// only is the one service of this process, once it is open; waiting is what its start
	// waits for until then.
	only    atomic.Pointer[service]
	waiting atomic.Pointer[string]
	// serving tells that the start is done.
	serving bool
	// draining is set before anything closes.
	draining atomic.Bool
	// servers are told of it; links are the connections to the other services.
	servers []*rpc.Server
	links   []link
	// front, face, health and measured are where HTTP, gRPC, health pages and metrics are served;
	// nil where they are not.
	front, face, health, measured net.Addr
}

// MakeFolder makes the data folder, for its owner alone.
func MakeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return FolderError(dir, err)
	}
	return nil
}

func (h *house) onStop(f func(context.Context) error) { h.closers = append(h.closers, f) }

// untilStop is ctx for what goes on after the start, until the stop.
func (h *house) untilStop(ctx context.Context) context.Context {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.onStop(func(context.Context) error {
		stop()
		return nil
	})
	return run
}

// stop closes everything in good order, within bounds. When it was asked for (and nothing
// failed) all goes on for the drain delay, while /readyz and health say that it ends.
func (h *house) stop(ctx context.Context) error {
	h.draining.Store(true)
	for _, server := range h.servers {
		server.Retire()
	}
	if h.serving && ctx.Err() != nil && h.cfg.DrainDelay > 0 {
		time.Sleep(h.cfg.DrainDelay)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var all []error
		for _, undo := range slices.Backward(h.closers) {
			all = append(all, undo(ctx))
		}
		done <- errors.Join(all...)
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(stopTimeout + 2*time.Second):
		return errors.New("the stop took too long and was cut short; what was acknowledged is stored")
	}
}

// run runs what serves until it is told to stop; its error stops the program.
func (h *house) run(serve func() error) {
	go func() {
		if err := serve(); err != nil {
			select {
			case h.failed <- err:
			default: // another one was first
			}
		}
	}()
}

// lock claims one service's part of the data folder.
func (h *house) lock(name string) error {
	release, err := sqldb.LockFolder(h.cfg.Data, name)
	switch {
	case errs.ReasonOf(err) == sqldb.ReasonFolderLocked:
		return fmt.Errorf("%w: stop that process, or choose another folder with --data", err)
	case err != nil:
		return FolderError(h.cfg.Data, err)
	}
	h.onStop(func(context.Context) error { return release() })
	return nil
}

// listen opens an address, so that a port in use is known before anything else is done.
func (h *house) listen(ctx context.Context, addr, flag string) (net.Listener, error) {
	lis, err := listen(ctx, addr, flag)
	if err != nil {
		return nil, err
	}
	h.onStop(func(context.Context) error {
		_ = lis.Close() // mostly the second time: whoever serves on it closes it too
		return nil
	})
	return lis, nil
}

// openVerifier says whose tokens are accepted.
func (h *house) openVerifier(ctx context.Context) error {
	o := auth.VerifierOptions{OIDC: h.cfg.oidc(), Logger: h.log, Now: h.now}
	if h.cfg.LocalIssuer {
		local, err := auth.OpenLocalIssuer(h.cfg.Data, h.now)
		if err != nil {
			return FolderError(h.cfg.Data, err)
		}
		o.Local = local
	}
	var err error
	if h.verifier, err = auth.NewVerifier(o); err != nil {
		return err
	}
	go h.verifier.Follow(h.untilStop(ctx))
	return nil
}

// unverified names the issuers whose tokens cannot be verified, but for those that were lately.
func (h *house) unverified() []string {
	failing := h.verifier.Failing()
	degraded := make([]string, 0, len(failing))
	for _, url := range failing {
		degraded = append(degraded, "the token issuer "+url+" gives no keys")
	}
	return degraded
}

// serveRPC answers a service's calls from the network.
func (h *house) serveRPC(lis net.Listener, server *rpc.Server) {
	h.face = lis.Addr()
	h.run(func() error { return server.Serve(lis) })
}

// serveHTTP answers HTTP. Its stop ends streams first, since they never end by themselves.
func (h *house) serveHTTP(lis net.Listener, gateway interface {
	http.Handler
	io.Closer
},
) {
	server := newHTTPServer(gateway, h.log)
	h.front = lis.Addr()
	h.onStop(func(ctx context.Context) error {
		_ = gateway.Close() // has nothing to report
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close()
			return fmt.Errorf("requests had to be cut off: %w", err)
		}
		return nil
	})
	h.run(func() error {
		if err := server.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving HTTP on %s: %w", lis.Addr(), err)
		}
		return nil
	})
}

// newHTTPServer bounds everything but the time of an answer, which a stream has none of.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// newServer makes a service's server. It stops before what it serves does.
func (h *house) newServer(_ context.Context, resolver auth.Resolver, maxRecv int) (*rpc.Server, error) {
	guard, err := auth.NewGuard(auth.GuardOptions{Verifier: h.verifier, Resolver: resolver, Logger: h.log, Now: h.now})
	if err != nil {
		return nil, err
	}
	o := rpc.Options{
		Logger: h.log, Guard: guard, MaxRecv: maxRecv, Reflection: h.cfg.Reflection, Tracer: h.tracer, Observe: h.calls, Now: h.now,
	}
	if h.identity == nil {
		o.Logger = quieter(h.log)
	} else {
		o.TLS = h.identity.ServerTLS()
	}
	server, err := rpc.NewServer(o) //nolint:contextcheck // it lives until the stop, not as long as the start
	if err != nil {
		return nil, err
	}
	h.servers = append(h.servers, server)
	h.onStop(server.Shutdown)
	return server, nil
}
