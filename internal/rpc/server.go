// Package rpc is the one road between the services, and from the gateway to
// them: a gRPC server that serves over the network and in process through the
// same interceptors, the client side of both, errors turned into statuses, the
// validation of requests, health, and the certificates by which our own
// services know each other.
package rpc

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/logs"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

const (
	// DefaultMaxRecv is the largest request, in bytes, where Options say nothing.
	DefaultMaxRecv = 4 << 20
	// MaxAnswer is the largest response message that our clients take.
	MaxAnswer = 16 << 20

	// minPing is how often a client may ping, clientPing how often ours do, also while
	// they have nothing to say: so a machine that vanished is missed before the next call.
	minPing     = 15 * time.Second
	clientPing  = 2 * minPing
	serverPing  = time.Minute
	pingTimeout = 10 * time.Second
	// connectionAge makes clients come again now and then, and so find new replicas; gRPC
	// spreads it by a tenth. Calls in flight are let finish, up to connectionGrace: no unary
	// call takes as long, streams without end do, and end themselves before.
	connectionAge   = 5 * time.Minute
	connectionGrace = time.Hour
	// stopLinger is how long a forced stop waits for handlers whose contexts it ended.
	stopLinger = time.Second
)

// Options say how a Server is made.
type Options struct {
	Logger *slog.Logger
	// Callers names callers in the log; nil names nobody.
	Callers *logs.Callers
	// Sample keeps a share of the lines about successful calls; nil keeps all.
	Sample *logs.Sampler
	// Guard admits calls; there is no server without one.
	Guard *auth.Guard
	// Validator checks requests; nil for a new one.
	Validator *Validator
	// MaxRecv is the largest request in bytes; 0 for DefaultMaxRecv.
	MaxRecv int
	// TLS is for the network; nil serves in the clear, which only tests and
	// loopback may.
	TLS *tls.Config
	// Reflection lists the RPCs over the network, to any caller.
	Reflection bool
	// Tracer makes a span of each call; nil for none.
	Tracer *tracing.Tracer
	// Observe, unless nil, is called with each finished call and how long it took; below zero
	// for a stream, whose length means nothing.
	Observe func(method, code string, took time.Duration)
	// Limiter limits the calls over the network of others than our own services; nil for no limit.
	Limiter *bounds.Limiter
	// SlowReader is how long such a caller may take to read an answer of 64 KiB, before its connection is
	// closed; 0 for bounds.SlowReader.
	SlowReader time.Duration
	Now        func() time.Time
}

// Server serves gRPC over the network and in process, with one chain of
// interceptors: request id, log, panics and errors; then the guard; then
// validation.
type Server struct {
	logger    *slog.Logger
	callers   *logs.Callers
	sample    *logs.Sampler
	guard     *auth.Guard
	validator *Validator
	maxRecv   int
	tracer    *tracing.Tracer
	observe   func(method, code string, took time.Duration)
	now       func() time.Time

	network *network
	methods map[string]unaryHandler  // by name, for calls in process
	streams map[string]streamHandler // likewise
	health  *health.Server
	names   []string // of the services, for health
	gate    gate

	guarded   grpc.StreamServerInterceptor
	limiter   *bounds.Limiter
	readers   *readers
	open      *bounds.Quota[string] // streams without a token, by connection
	checks    *bounds.Quota[string] // and unary calls
	waiting   *bounds.Latest        // those of them whose request has not come
	receiving *bounds.Quota[string] // bytes of large messages, by caller
	refusals  *bounds.Lines

	drain sync.Once
	// draining ends when the drain begins.
	draining context.Context //nolint:containedctx // it lives as long as the server
	drainNow context.CancelFunc
	// stop ends the contexts of in-process calls when time is up.
	stop    context.Context //nolint:containedctx // it lives as long as the server
	stopNow context.CancelFunc
}

var _ grpc.ServiceRegistrar = (*Server)(nil)

// NewServer makes a server; it listens to nothing before Serve.
func NewServer(o Options) (*Server, error) {
	if o.Guard == nil || o.Logger == nil || o.Now == nil {
		return nil, errors.New("rpc: a server needs a guard, a logger and a clock")
	}
	s := &Server{
		logger: o.Logger, callers: o.Callers, sample: o.Sample, guard: o.Guard, validator: o.Validator, tracer: o.Tracer, observe: o.Observe, now: o.Now,
		maxRecv: cmp.Or(o.MaxRecv, DefaultMaxRecv), health: health.NewServer(),
		methods: map[string]unaryHandler{}, streams: map[string]streamHandler{}, gate: gate{idle: make(chan struct{})}, limiter: o.Limiter,
		open:      bounds.NewQuota[string](openStreams, openStreamsEach),
		checks:    bounds.NewQuota[string](0, openStreamsEach),
		waiting:   bounds.NewLatest(openStreams),
		receiving: bounds.NewQuota[string](messageBytes, callerBytes),
		refusals:  bounds.NewLines(bounds.RefusalsPerSecond, bounds.RefusalsBurst, o.Now),
	}
	if s.validator == nil {
		s.validator = NewValidator()
	}
	s.stop, s.stopNow = context.WithCancel(context.Background())
	s.draining, s.drainNow = context.WithCancel(context.Background())
	s.readers = newReaders(cmp.Or(o.SlowReader, bounds.SlowReader), s.logSlowReader)
	s.guarded = s.guard.Stream(peerOf)
	s.network = newNetwork(o.TLS, s.maxRecv, s.stream, s.readers)
	healthv1.RegisterHealthServer(s, healthServer{s.health, s.draining})
	s.health.SetServingStatus(HealthWhole, healthv1.HealthCheckResponse_SERVING)
	if o.Reflection {
		s.network.reflect()
	}
	return s, nil
}

// RegisterService registers a service for the network and in process. Before Serve.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	desc = s.admittingFirst(desc)
	s.network.register(desc, impl)
	s.registerInproc(desc, impl)
	s.names = append(s.names, desc.ServiceName)
	s.health.SetServingStatus(desc.ServiceName, healthv1.HealthCheckResponse_SERVING)
}

// Serve serves on the listener until Shutdown, and then returns nil.
func (s *Server) Serve(lis net.Listener) error {
	return s.network.serve(lis)
}

// HealthWhole is what the health service is asked for to hear whether a server has all that it should
// have: it is not serving while the server does its work without some of it.
const HealthWhole = "preceptor.Whole"

// SetServing sets the statuses of the health service: of the server and each of its services
// whether it can do its work, and of HealthWhole whether with all that it should have. They are
// SERVING from the start.
func (s *Server) SetServing(ok, whole bool) {
	status := map[bool]healthv1.HealthCheckResponse_ServingStatus{
		false: healthv1.HealthCheckResponse_NOT_SERVING, true: healthv1.HealthCheckResponse_SERVING,
	}
	for _, name := range slices.Concat(s.names, []string{""}) {
		s.health.SetServingStatus(name, status[ok])
	}
	s.health.SetServingStatus(HealthWhole, status[ok && whole])
}

// Retire has the health service say, for good, that the server is not serving. Calls
// are still taken: this is for the time in which others learn of it.
func (s *Server) Retire() { s.health.Shutdown() }

// Draining is closed when Shutdown begins: what streams without end should end then.
func (s *Server) Draining() <-chan struct{} { return s.draining.Done() }

// Shutdown stops taking calls, waits for those in flight until ctx is done, and
// then ends them and returns ctx's error. Calls in process are taken until the
// last call has ended, since those in flight may need them. It may be called again.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain.Do(func() {
		s.Retire()
		s.drainNow()
		go func() {
			s.network.drain()
			s.gate.drain()
		}()
	})
	select {
	case <-s.gate.idle:
		return nil
	case <-ctx.Done():
	}
	s.stopNow()
	go s.network.stop() // ends the contexts of its calls; GracefulStop returns with the last
	select {
	case <-s.gate.idle:
	case <-time.After(stopLinger):
		s.gate.close()
	}
	return fmt.Errorf("rpc: calls had to be ended: %w", ctx.Err())
}
