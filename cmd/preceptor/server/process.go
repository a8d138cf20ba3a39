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
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/logs"
	"github.com/preceptor-dev/preceptor/internal/metrics"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/sqldb"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// process is what is open while the program serves.
type process struct {
	cfg      *Config
	table    Table
	log      *slog.Logger
	now      func() time.Time
	version  string
	verifier *auth.Verifier
	// callers is nil in a process whose log nobody reads.
	callers *logs.Callers
	// limiter is nil where nobody is limited: in a process without the gateway.
	limiter *bounds.Limiter
	// idle is set where services do only what a command calls them for.
	idle bool
	// metrics, calls and tracer are nil where the settings name none.
	metrics *metrics.Registry
	calls   func(method, code string, took time.Duration)
	tracer  *tracing.Tracer
	// identity is nil while everything runs in this process.
	identity rpc.Identity

	// keeps is what is kept in memory, and spare gives it up.
	keeps keeps
	spare spare

	// closers undo the start, the last one first.
	closers []func(context.Context) error
	// failed receives the first error of what runs by itself.
	failed chan error
	// opened are the services that are open here; later are connections to those that may follow.
	opened []*service
	later  []*laterConn
	// reported is the state of this process, once it is open; waiting is what its start waits for
	// until then.
	reported atomic.Pointer[func(context.Context) health.State]
	waiting  atomic.Pointer[health.Missing]
	// ready is what the gateway reports to anybody of what is open here; nil for nothing but its end.
	ready func(context.Context) bool
	// serving is set when the start is done.
	serving bool
	// draining is set before anything closes.
	draining atomic.Bool
	// servers report that too; links are the connections to the other services.
	servers []*rpc.Server
	links   []link
	// at is where HTTP, gRPC, health pages and metrics are served.
	at Endpoints
}

func newProcess(o Options) *process {
	return &process{
		cfg: o.Config, table: o.Services, log: o.Logger, now: o.Now, version: o.Version, failed: make(chan error, 1),
		keeps: keepsIn(memoryLimit(os.DirFS("/")), o.Config.Only == ""),
	}
}

// MakeFolder makes the data folder, for its owner alone.
func MakeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return FolderError(dir, err)
	}
	return nil
}

func (p *process) onStop(f func(context.Context) error) { p.closers = append(p.closers, f) }

// untilStop is ctx for what goes on after the start, until the stop.
func (p *process) untilStop(ctx context.Context) context.Context {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.onStop(func(context.Context) error {
		stop()
		return nil
	})
	return run
}

// stop closes everything in good order, within bounds. When a signal caused it (and no
// failure) everything serves for the drain delay, while /readyz and health report that it ends.
func (p *process) stop(ctx context.Context) error {
	p.draining.Store(true)
	for _, server := range p.servers {
		server.Retire()
	}
	if p.serving && ctx.Err() != nil && p.cfg.DrainDelay > 0 {
		time.Sleep(p.cfg.DrainDelay)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var all []error
		for _, undo := range slices.Backward(p.closers) {
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

// run runs what serves until the stop; its error stops the program.
func (p *process) run(serve func() error) {
	go func() {
		if err := serve(); err != nil {
			select {
			case p.failed <- err:
			default: // another one was first
			}
		}
	}()
}

// lock locks one service's part of the data folder.
func (p *process) lock(name string) error {
	release, err := sqldb.LockFolder(p.cfg.Data, name)
	switch {
	case errs.ReasonOf(err) == errs.ReasonFolderLocked:
		return fmt.Errorf("%w: stop that process, or choose another folder with --data", err)
	case err != nil:
		return FolderError(p.cfg.Data, err)
	}
	p.onStop(func(context.Context) error { return release() })
	return nil
}

// listen opens an address, so that a port in use is known before anything else is done.
func (p *process) listen(ctx context.Context, addr, flag string) (net.Listener, error) {
	lis, err := listen(ctx, addr, flag)
	if err != nil {
		return nil, err
	}
	p.onStop(func(context.Context) error {
		_ = lis.Close() // mostly the second time: its server closes it too
		return nil
	})
	return lis, nil
}

// openVerifier configures whose tokens are accepted.
func (p *process) openVerifier(ctx context.Context) error {
	o := auth.VerifierOptions{OIDC: p.cfg.oidc(), Logger: p.log, Now: p.now}
	if p.cfg.LocalIssuer {
		local, err := auth.OpenLocalIssuer(p.cfg.Data, p.now)
		if err != nil {
			return FolderError(p.cfg.Data, err)
		}
		o.Local = local
	}
	var err error
	if p.verifier, err = auth.NewVerifier(o); err != nil {
		return err
	}
	p.spare.add(func(context.Context) { p.verifier.Forget() })
	p.measureIssuers()
	go p.verifier.Follow(p.untilStop(ctx))
	return nil
}

// unverified names the issuers that give no keys, with the time until which their tokens are verified by
// those that they gave before.
func (p *process) unverified() []health.Missing {
	var degraded []health.Missing
	for _, issuer := range p.verifier.Issuers() {
		if !issuer.Failing {
			continue
		}
		text := "the token issuer " + issuer.URL + " gives no keys"
		if !issuer.KnownUntil.IsZero() {
			text += "; those known of it are accepted until " + issuer.KnownUntil.UTC().Format(time.RFC3339)
		}
		degraded = append(degraded, health.Missing{Dependency: health.Issuer, Text: text})
	}
	return degraded
}

// measureIssuers shows how long ago each issuer gave its keys.
func (p *process) measureIssuers() {
	for i, issuer := range p.verifier.Issuers() {
		p.metrics.Gauge("preceptor_issuer_keys_age_seconds", "How long ago the token issuer gave its keys, or since the start when it never did.",
			metrics.Labels{"issuer": issuer.URL}, func() float64 { return p.verifier.Issuers()[i].Age.Seconds() })
	}
}

// serveRPC serves gRPC.
func (p *process) serveRPC(lis net.Listener, server *rpc.Server) {
	p.at.GRPC = lis.Addr()
	p.metrics.Counter("preceptor_rpc_slow_readers_total", "Connections of gRPC that were closed, since their clients did not read.", nil,
		func() float64 { return float64(server.SlowReaders()) })
	p.run(func() error { return server.Serve(lis) })
}

// serveHTTP serves the REST API. Its stop ends streams first, since they never end by themselves.
func (p *process) serveHTTP(lis net.Listener, gateway interface {
	http.Handler
	io.Closer
},
) {
	server := newHTTPServer(gateway, p.log)
	p.at.HTTP = lis.Addr()
	p.onStop(func(ctx context.Context) error {
		closed := make(chan struct{})
		go func() {
			_ = gateway.Close() // has nothing to report
			close(closed)
		}()
		select {
		case <-closed:
		case <-ctx.Done():
		}
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close()
			return fmt.Errorf("requests had to be cut off: %w", err)
		}
		return nil
	})
	p.runHTTP(lis, server, "HTTP")
}

// servePages serves pages for operators, until all else has stopped.
func (p *process) servePages(lis net.Listener, pages http.Handler, what string) {
	server := newHTTPServer(pages, p.log)
	p.onStop(func(context.Context) error { return server.Close() })
	p.runHTTP(lis, server, what)
}

func (p *process) runHTTP(lis net.Listener, server *http.Server, what string) {
	p.run(func() error {
		if err := server.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving %s on %s: %w", what, lis.Addr(), err)
		}
		return nil
	})
}

// writeTimeout is how long a client may take to read a response. The gateway has deadlines of its own, by what it
// writes; this one is for what the server writes by itself, and for the pages of operators.
const writeTimeout = 15 * time.Second

// newHTTPServer bounds everything.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// newServer makes a service's server, which knows callers as who does. It stops before what it serves does.
func (p *process) newServer(_ context.Context, who Opened, maxRecv int) (*rpc.Server, error) {
	guard, err := auth.NewGuard(auth.GuardOptions{
		Verifier: p.verifier, Resolver: who.Resolver, Managers: who.Managers, Tickets: who.Tickets, Logger: p.log, Now: p.now,
	})
	if err != nil {
		return nil, err
	}
	o := rpc.Options{
		Logger: p.log, Guard: guard, MaxRecv: maxRecv, Reflection: p.cfg.Reflection, Tracer: p.tracer, Observe: p.calls, Now: p.now,
		Limiter: p.limiter, Callers: p.callers,
	}
	if p.identity == nil {
		o.Logger = quieter(p.log)
	} else {
		o.TLS, o.Sample = p.identity.ServerTLS(), logs.NewSampler(p.cfg.LogSample)
	}
	server, err := rpc.NewServer(o) //nolint:contextcheck // it lives until the stop, not as long as the start
	if err != nil {
		return nil, err
	}
	p.servers = append(p.servers, server)
	p.onStop(server.Shutdown)
	return server, nil
}
