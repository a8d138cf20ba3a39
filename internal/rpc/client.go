package rpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/tracing"
)

// DefaultDeadline is what a unary call gets that has no deadline, and ImportDeadline what an
// import gets: on a busy machine a catalog of the largest size takes longer.
const (
	DefaultDeadline = 10 * time.Second
	ImportDeadline  = time.Minute
)

// importMethod is the one call that may take so long.
const importMethod = "/preceptor.catalog.v1.CatalogService/ImportCatalog"

func deadlineOf(method string) time.Duration {
	if method == importMethod {
		return ImportDeadline
	}
	return DefaultDeadline
}

// DialOptions say how a service is reached over the network.
type DialOptions struct {
	// TLS is Identity.ClientTLS of the service; nil speaks in the clear.
	TLS *tls.Config
	// Files hold the RPCs, which say what may be repeated; nil for all that are linked in.
	Files *protoregistry.Files
	// Tracer makes a span of each call made while serving one; nil for none.
	Tracer *tracing.Tracer
	// Key returns what a call is about, by its context; nil, and "", for nothing in particular. Calls with the same
	// key go to the same one of several servers, as long as it is ready.
	Key func(ctx context.Context) string
	// Routed is called, unless it is nil, for each try of a call with a key: own is whether its server is
	// the key's, and no other in its place.
	Routed func(own bool)
}

// Dial makes a connection to addr: host:port, or several with commas between. It
// connects when the first call needs it and again after a failure, so that
// services may start in any order. Calls go round the addresses that the name
// has, or by their key, and those that may be repeated are, when a server is UNAVAILABLE. The
// user's token, the request's id and what is left of its deadline go on with
// every call made while serving a request.
func Dial(addr string, o DialOptions) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if o.TLS != nil {
		creds = credentials.NewTLS(o.TLS)
	}
	target, options, err := targetOf(addr)
	if err != nil {
		return nil, err
	}
	if o.Files == nil {
		o.Files = protoregistry.GlobalFiles
	}
	again := repeatableIn(o.Files)
	config, err := again.serviceConfig(affinityPolicy)
	if err != nil {
		return nil, fmt.Errorf("rpc: connecting to %s: %w", addr, err)
	}
	conn, err := grpc.NewClient(target, append(options,
		grpc.WithTransportCredentials(creds),
		grpc.WithChainUnaryInterceptor(caller{o}.unary, again.keyedUnary), grpc.WithStreamInterceptor(caller{o}.stream),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxAnswer)),
		grpc.WithDefaultServiceConfig(config), grpc.WithMaxCallAttempts(maxTries),
		grpc.WithDisableServiceConfig(), // none from DNS
		grpc.WithInitialWindowSize(ownWindow), grpc.WithInitialConnWindowSize(ownConnWindow),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: clientPing, Timeout: pingTimeout, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}))...)
	if err != nil {
		return nil, fmt.Errorf("rpc: connecting to %s: %w", addr, err)
	}
	return conn, nil
}

// caller is our side of each call over a network.
type caller struct{ DialOptions }

func (c caller) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx, cancel := withDeadline(forwardUser(ctx), method)
	defer cancel()
	ctx, span := c.Tracer.Continue(ctx, method[1:], tracing.Client)
	defer span.End()
	err := invoke(injected(c.keyed(ctx), c.Tracer), method, req, reply, cc, opts...)
	markSpan(span, status.Convert(err))
	return err
}

func (c caller) stream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return open(injected(c.keyed(forwardUser(ctx)), c.Tracer), desc, cc, method, opts...)
}

// keyed returns the context of a call with its key.
func (c caller) keyed(ctx context.Context) context.Context {
	if c.Key == nil {
		return ctx
	}
	return withKey(ctx, c.Key(ctx), c.Routed)
}

// withDeadline bounds how long a unary call waits.
func withDeadline(ctx context.Context, method string) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, deadlineOf(method))
}

// forwardUser sends the user's token and the request's id on with a call that is
// made while serving another. What the caller put there is left alone. Nothing
// else travels by itself: an idempotency key, for one, means one create only.
func forwardUser(ctx context.Context) context.Context {
	id, token := RequestID(ctx), auth.UserToken(ctx)
	if id == "" && len(token) == 0 {
		return ctx
	}
	out, _ := metadata.FromOutgoingContext(ctx) // a copy
	if out == nil {
		out = metadata.MD{}
	}
	if len(token) > 0 && len(out.Get("authorization")) == 0 {
		out["authorization"] = token
	}
	if id != "" && len(out.Get(requestIDKey)) == 0 {
		out[requestIDKey] = []string{id}
	}
	return metadata.NewOutgoingContext(ctx, out)
}
