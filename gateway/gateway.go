// Package gateway is the REST API: it serves the API of proto/ as JSON over
// HTTP, and calls the services through their generated gRPC clients. Most
// routes go through grpc-gateway's mux; the batch of events, the catalog as a
// document and the streams have handlers of their own, since their bodies are
// not the RPC's messages. All of them have the same request ids, log entries,
// problem documents, limits, ETags and compression.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/klauspost/compress/gzhttp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/preceptor-dev/preceptor/gateway/stream"
	"github.com/preceptor-dev/preceptor/gateway/wire"
	auditv1 "github.com/preceptor-dev/preceptor/gen/preceptor/audit/v1"
	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/health"
	"github.com/preceptor-dev/preceptor/internal/logs"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// The defaults of Config.
const (
	DefaultHeartbeat = 15 * time.Second
)

// Config configures a gateway.
type Config struct {
	// Conns are the connections to the services, by name, over a network or in process.
	Conns map[string]grpc.ClientConnInterface
	// Verifier verifies the tokens of requests before their bodies are read.
	Verifier Verifier
	// Logger logs each request; nil logs nothing.
	Logger *slog.Logger
	// Callers names callers in the log; nil names nobody.
	Callers *logs.Callers
	// Sample keeps a share of the lines about successful requests; nil keeps all.
	Sample *logs.Sampler
	// AllowedOrigins are the web origins that browsers may call from, besides the
	// gateway's own: "https://app.example.org". "*" allows any.
	AllowedOrigins []string
	// Version is the program's version, for the OpenAPI document.
	Version string
	// Ready reports whether requests can be served, unless Draining does; nil means always. It is called
	// once a second at most.
	Ready func(context.Context) bool
	// State is what a program on the same machine reads of /readyz, with all that is missing; nil for the word
	// that anybody reads.
	State func(context.Context) health.State
	// Draining reports whether the process is about to stop; nil means never.
	Draining func() bool
	// Now returns the current time, for the log and the rate limit.
	Now func() time.Time
	// Tracer makes a span of each request; nil for none.
	Tracer *tracing.Tracer
	// ContinueTraces has the requests that TrustedProxies send continue the trace that their traceparent
	// names. Such a proxy must not forward the header of its own clients.
	ContinueTraces bool
	// Observe is called after each request, unless it is nil. route is the route's template,
	// or "" if no route matched; took is negative for a stream. status is 0 where there was none, or only
	// that of a server that is stopping.
	Observe func(route, method string, status int, took time.Duration)
	// Heartbeat is the interval of heartbeats on silent streams; 0 means DefaultHeartbeat.
	Heartbeat time.Duration
	// SlowReader is how long a client may take over one message of a stream, or over 64 KiB of another
	// response, before its connection is closed; 0 means bounds.SlowReader.
	SlowReader time.Duration
	// Limiter limits the requests of one caller; nil sets no limit.
	Limiter *bounds.Limiter
	// Kept is how many bytes of answers are kept, to be written again where a service says that they hold; 0
	// means DefaultKept.
	Kept int64
	// MaxStreams is how many streams may be open at once, after which a watch is refused; 0 means any number.
	MaxStreams int
	// TrustedProxies are the networks of the proxies whose X-Forwarded-For says where a request comes from.
	TrustedProxies []netip.Prefix
}

// The services that the gateway calls, as Config.Conns names them.
const (
	profileService  = "profile"
	catalogService  = "catalog"
	progressService = "progress"
)

// Gateway is the handler of the REST API. Close it before shutting down the HTTP server:
// streams never end by themselves.
type Gateway struct {
	config   Config
	logger   *slog.Logger
	routes   routeTable
	own      map[string]http.HandlerFunc // by RPC: handlers of routes that the mux does not serve
	reads    map[string]*reading         // by RPC: routes that read one message
	kept     keptAnswers
	mux      *runtime.ServeMux
	json     *wire.Codec
	site     map[string]page
	plain    http.Handler // serves everything but streams
	catalog  catalogv1.CatalogServiceClient
	progress progressv1.ProgressServiceClient
	origins  origins
	streams  *stream.Server
	limiter  *bounds.Limiter
	proxies  proxies
	bodies   *bodies
	seen     revisions
	// slowReaders counts the responses that were not read in time.
	slowReaders atomic.Int64
	refusals    *bounds.Lines
	readiness   readiness
}

var _ http.Handler = (*Gateway)(nil)

// New returns a gateway. It calls no service before the first request.
func New(config Config) (*Gateway, error) {
	if config.Conns[profileService] == nil || config.Conns[catalogService] == nil || config.Conns[progressService] == nil ||
		config.Now == nil || config.Verifier == nil {
		return nil, errors.New("gateway: Config needs Now, a Verifier, and Conns to profile, catalog and progress")
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	config.Heartbeat = cmp.Or(config.Heartbeat, DefaultHeartbeat)
	config.Kept = cmp.Or(config.Kept, DefaultKept)
	config.SlowReader = cmp.Or(config.SlowReader, bounds.SlowReader)
	routes, err := newRoutes()
	if err != nil {
		return nil, err
	}
	site, err := newSite(config.Version)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		config:   config,
		logger:   config.Logger,
		routes:   routes,
		json:     wire.NewCodec(responses()),
		site:     site,
		catalog:  catalogv1.NewCatalogServiceClient(preconditions{config.Conns[catalogService]}),
		progress: progressv1.NewProgressServiceClient(preconditions{config.Conns[progressService]}),
		origins:  newOrigins(config.AllowedOrigins),
		limiter:  config.Limiter,
		refusals: bounds.NewLines(bounds.RefusalsPerSecond, bounds.RefusalsBurst, config.Now),
		proxies:  config.TrustedProxies,
		bodies:   newBodies(),
		kept:     newKeptAnswers(config.Kept, config.Now),
	}
	g.own = map[string]http.HandlerFunc{
		progressv1.ProgressService_BatchRecordEvents_FullMethodName: g.recordEvents,
		progressv1.ProgressService_WatchProgress_FullMethodName:     g.watch,
		progressv1.ProgressService_VerifyProgress_FullMethodName:    g.verifyProgress,
		progressv1.ProgressService_RebuildProgress_FullMethodName:   g.rebuildProgress,
		catalogv1.CatalogService_ImportCatalog_FullMethodName:       g.importCatalog,
		catalogv1.CatalogService_ExportCatalog_FullMethodName:       g.exportCatalog,
	}
	if g.reads, err = g.readings(); err != nil {
		return nil, err
	}
	if g.mux, err = g.newMux(); err != nil {
		return nil, err
	}
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.SuffixETag(encodedSuffix),
		gzhttp.Implementation(g.gzipWriters()), gzhttp.ZstdImplementation(g.zstdWriters()))
	if err != nil {
		return nil, fmt.Errorf("gateway: compression: %w", err)
	}
	g.plain = compress(conditional(http.HandlerFunc(g.serve)))
	g.streams = stream.NewServer(stream.Config{
		Heartbeat: config.Heartbeat, SlowReader: config.SlowReader, MaxStreams: config.MaxStreams, Marshal: g.json.Marshal,
	})
	return g, nil
}

// responses returns the response messages of all RPCs.
func responses() []protoreflect.MessageDescriptor {
	all := make([]protoreflect.MessageDescriptor, 0, len(methods()))
	for _, m := range methods() {
		all = append(all, m.Output())
	}
	return all
}

func (g *Gateway) newMux() (*runtime.ServeMux, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, g.json),
		runtime.WithErrorHandler(g.muxError),
		runtime.WithRoutingErrorHandler(g.muxRoutingError),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithOutgoingHeaderMatcher(outgoingHeader),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithMetadata(g.metadata),
		runtime.WithForwardResponseOption(g.muxResponse),
		runtime.WithDisableChunkedEncoding(),
		runtime.WithWriteContentLength(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithDisablePathLengthFallback(),
	)
	// Registering uses no context: it only stores the clients.
	ctx := context.Background()
	profile := profilev1.NewProfileServiceClient(preconditions{g.config.Conns[profileService]})
	if err := profilev1.RegisterProfileServiceHandlerClient(ctx, mux, profile); err != nil {
		return nil, fmt.Errorf("gateway: profile: %w", err)
	}
	cohorts := profilev1.NewCohortServiceClient(preconditions{g.config.Conns[profileService]})
	if err := profilev1.RegisterCohortServiceHandlerClient(ctx, mux, cohorts); err != nil {
		return nil, fmt.Errorf("gateway: cohorts: %w", err)
	}
	if err := catalogv1.RegisterCatalogServiceHandlerClient(ctx, mux, g.catalog); err != nil {
		return nil, fmt.Errorf("gateway: catalog: %w", err)
	}
	if err := progressv1.RegisterProgressServiceHandlerClient(ctx, mux, g.progress); err != nil {
		return nil, fmt.Errorf("gateway: progress: %w", err)
	}
	audit := auditors{
		profile:  auditv1.NewAuditServiceClient(g.config.Conns[profileService]),
		catalog:  auditv1.NewAuditServiceClient(g.config.Conns[catalogService]),
		progress: auditv1.NewAuditServiceClient(g.config.Conns[progressService]),
	}
	if err := auditv1.RegisterAuditServiceHandlerClient(ctx, mux, audit); err != nil {
		return nil, fmt.Errorf("gateway: audit: %w", err)
	}
	return mux, nil
}

// Close ends the open streams, asking their readers to reconnect, refuses new ones, and returns when all have
// ended. It may be called more than once.
func (g *Gateway) Close() error {
	g.streams.Close()
	return nil
}

// exchange is the state of one request.
type exchange struct {
	id      string
	method  string // as sent
	path    string
	span    tracing.Span
	outcome outcome
	goesOn  bool // the response is a stream that outlives its request, whose end it records
	head    bool // the request was a HEAD
	route   *route
	params  map[string]string // parameters of the route's path
	learner string            // the path's learner_id: an id, "me", or "" for none
	missing notFound          // what there is instead, when there is no route
	query   query             // as read
	body    []byte            // as read, uncompressed; only for routes that take one
	media   string            // the body's media type; "" where it does not say
	held    *holding          // what the body holds; nil for nothing
	begun   time.Time
	timeout time.Duration // the client's own limit; 0 for none
	header  http.Header   // of the response
	control *http.ResponseController
	// kept is the answer that the response is made of, nil for another; keptUnder is what it is kept under.
	kept      *kept
	keptUnder string

	// principal is whom a valid token speaks for, refused why there is none.
	principal auth.Principal
	refused   error
	address   string // of whom was refused
	// flood is whether the request was refused because of what its address sent before.
	flood bool
	// answered is called once with the response's status, unless it is nil.
	answered func(status int)
}

// keepConnection lets the connection serve another request, once the body of this one has been read.
func (x *exchange) keepConnection() { x.header.Del("Connection") }

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

func exchangeOf(r *http.Request) *exchange {
	if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{}
}

// ServeHTTP serves a request, with an id and a log entry, and responds even if a handler panics.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{
		id: requestID(r.Header.Get("X-Request-ID")), method: r.Method, path: r.URL.Path, head: r.Method == http.MethodHead, begun: g.config.Now(),
	}
	rec := g.newRecorder(w, x)
	x.header, x.control = w.Header(), http.NewResponseController(rec)
	ctx := withExchange(r.Context(), x)
	if g.config.Tracer != nil {
		ctx, x.span = g.trace(ctx, r)
	}
	r = r.WithContext(ctx) // a copy, so it may be changed
	if x.head {
		r.Method = http.MethodGet
	}
	r.Header.Del("TE") // asks for trailers, which no response has
	h := w.Header()
	h.Set("X-Request-ID", x.id)
	h.Set("X-Content-Type-Options", "nosniff")
	if r.ContentLength != 0 {
		// Else the server would read a body that the handler has not read before it responds.
		h.Set("Connection", "close")
	}
	aborted := true
	defer func() {
		if aborted {
			g.recovered(rec, r, recover())
		}
		if !x.goesOn {
			g.ended(ctx, x)
		}
		if aborted && !rec.complete {
			panic(http.ErrAbortHandler) // an incomplete response must not look complete
		}
	}()
	if !g.preflight(rec, r, x.method) {
		g.dispatch(rec, r)
	}
	aborted = false
}

// errPanic is the error that a client sees of a panic.
var errPanic = errs.New(errs.Internal, errs.ReasonInternal, "panic")

// recovered logs a panic, and responds if nothing has been written.
func (g *Gateway) recovered(rec *recorder, r *http.Request, cause any) {
	if cause == http.ErrAbortHandler { //nolint:errorlint // the value that net/http knows by identity
		return
	}
	x := exchangeOf(r)
	g.logPanic(r.Context(), x, cause)
	if !rec.wrote {
		faultOf(errPanic).problem(x.path, x.id).write(rec)
		rec.complete = true
	}
}

func (g *Gateway) logPanic(ctx context.Context, x *exchange, cause any) {
	g.logger.LogAttrs(ctx, slog.LevelError, "panic", slog.Any("error", cause),
		slog.String("stack", string(debug.Stack())), slog.String("request_id", x.id))
}

// dispatch calls the handler of a request.
func (g *Gateway) dispatch(w http.ResponseWriter, r *http.Request) {
	x := exchangeOf(r)
	if _, ok := g.site[r.URL.Path]; ok && r.URL.RawPath == "" {
		g.plain.ServeHTTP(w, r)
		return
	}
	switch r.URL.Path {
	case "/healthz":
		g.healthz(w, r)
		return
	case "/readyz":
		g.readyz(w, r)
		return
	}
	x.route, x.params, x.missing = g.routes.find(r.Method, r.URL)
	if x.route != nil && streamed(x.route.rpc) {
		g.serve(w, r)
		return
	}
	g.plain.ServeHTTP(w, r)
}

// streamed reports whether a response is sent message by message, so that it is neither compressed nor
// buffered for an ETag.
func streamed(rpc string) bool {
	switch rpc {
	case progressv1.ProgressService_WatchProgress_FullMethodName,
		progressv1.ProgressService_VerifyProgress_FullMethodName,
		progressv1.ProgressService_RebuildProgress_FullMethodName:
		return true
	}
	return false
}

// serve serves one request of the API or of the site.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	x := exchangeOf(r)
	if p, ok := g.site[r.URL.Path]; ok && r.URL.RawPath == "" {
		g.servePage(w, r, p)
		return
	}
	if x.route == nil {
		g.fail(w, r, noRoute(r, x.missing))
		return
	}
	if err := g.identify(w, r); err != nil {
		if errs.KindOf(err) == errs.Unavailable { // the token could be anybody's
			x.refused = err
		}
		g.fail(w, r, err)
		return
	}
	x.learner = x.params["learner_id"]
	defer func() { x.held.release() }()
	if err := g.admit(r); err != nil {
		g.fail(w, r, err)
		return
	}
	if own, ok := g.own[x.route.rpc]; ok {
		own(w, r)
		return
	}
	if reading, ok := g.reads[x.route.rpc]; ok {
		g.read(w, r, reading)
		return
	}
	g.mux.ServeHTTP(w, r)
}
