package gateway

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// Metadata that services and gateway speak to each other in.
const (
	mdRequestID          = "x-request-id"
	mdStatus             = "http-status"
	mdCatalogRevision    = "preceptor-catalog-revision"
	mdMinCatalogRevision = "preceptor-min-catalog-revision"
	mdProfileRevision    = "preceptor-profile-revision"
	mdMinProfileRevision = "preceptor-min-profile-revision"
	mdIfMatch            = "if-match"
)

// maxRequestID bounds what a client may write into our logs.
const maxRequestID = 128

// incomingHeader says which headers travel on to the services, by which names.
// Authorization does too, by grpc-gateway itself.
func incomingHeader(name string) (string, bool) {
	switch name {
	case "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-Id", "Traceparent", "Tracestate":
		return strings.ToLower(name), true
	}
	return "", false
}

// outgoingHeader says which metadata of an answer a client sees.
func outgoingHeader(name string) (string, bool) {
	switch name {
	case "etag", "location", "retry-after", mdCatalogRevision, mdProfileRevision:
		return name, true
	}
	return "", false
}

// metadata is what the gateway itself tells the services.
func (g *Gateway) metadata(ctx context.Context, r *http.Request) metadata.MD {
	md := metadata.Pairs(mdRequestID, exchangeOf(r).id)
	rpc, _ := runtime.RPCMethod(ctx)
	if strings.HasPrefix(rpc, "/preceptor.progress.") {
		g.seen.demand(md)
	}
	// The mux reads query parameters only where a body leaves room for them; this one counts on
	// every write. Beside an If-Match header both must name the resource as it stands.
	if etag := r.URL.Query().Get("etag"); etag != "" && r.Method != http.MethodGet && r.Method != http.MethodHead {
		md.Append(mdIfMatch, etag)
	}
	return md
}

// outgoing is a context to call a route's RPC in, with what the mux would send.
func (g *Gateway) outgoing(ctx context.Context, r *http.Request) (context.Context, error) {
	route := exchangeOf(r).route
	return runtime.AnnotateContext(ctx, g.mux, r, route.rpc, runtime.WithHTTPPathPattern(route.template))
}

// muxAnswer sees every answer that the mux gives, before it is written.
func (g *Gateway) muxAnswer(ctx context.Context, w http.ResponseWriter, _ proto.Message) error {
	md, _ := runtime.ServerMetadataFromContext(ctx)
	g.seen.note(md.HeaderMD)
	if status := statusIn(md.HeaderMD); status != 0 {
		w.WriteHeader(status)
	}
	return nil
}

// answer writes a message as the mux would.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, md metadata.MD, message proto.Message) {
	g.seen.note(md)
	body, err := g.json.Marshal(message)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	forwardHeaders(w, md)
	w.Header().Set("Content-Type", wire.ContentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if status := statusIn(md); status != 0 {
		w.WriteHeader(status)
	}
	_, _ = w.Write(body) // a client that has gone away is not told
}

func forwardHeaders(w http.ResponseWriter, md metadata.MD) {
	for name, values := range md {
		if header, ok := outgoingHeader(name); ok {
			for _, value := range values {
				w.Header().Add(header, value)
			}
		}
	}
}

// statusIn is the HTTP status that a service asked for, such as 201; 0: none.
func statusIn(md metadata.MD) int {
	values := md.Get(mdStatus)
	if len(values) == 0 {
		return 0
	}
	status, err := strconv.Atoi(values[0])
	if err != nil || status < http.StatusOK || status >= http.StatusMultipleChoices {
		return 0
	}
	return status
}

// revisions are the highest ones that went by: progress must not answer from an older
// catalog, or from older time zones, than its reader has seen.
type revisions struct{ catalog, profile revision }

// note remembers what an answer tells of them.
func (r *revisions) note(md metadata.MD) {
	r.catalog.note(md.Get(mdCatalogRevision))
	r.profile.note(md.Get(mdProfileRevision))
}

// demand tells progress what it must have reached.
func (r *revisions) demand(md metadata.MD) {
	r.catalog.demand(md, mdMinCatalogRevision)
	r.profile.demand(md, mdMinProfileRevision)
}

// revision is the highest one seen of a service; 0: none.
type revision struct{ highest atomic.Int64 }

func (r *revision) note(values []string) {
	for _, value := range values {
		seen, err := strconv.ParseInt(value, 10, 64)
		for err == nil {
			highest := r.highest.Load()
			if seen <= highest || r.highest.CompareAndSwap(highest, seen) {
				break
			}
		}
	}
}

func (r *revision) demand(md metadata.MD, key string) {
	if highest := r.highest.Load(); highest > 0 {
		md.Set(key, strconv.FormatInt(highest, 10))
	}
}

// requestID takes the client's id where it is fit for a log, else makes one.
func requestID(given string) string {
	visible := func(r rune) bool { return r > ' ' && r <= '~' }
	if given != "" && len(given) <= maxRequestID && strings.IndexFunc(given, func(r rune) bool { return !visible(r) }) < 0 {
		return given
	}
	id, err := uuid.NewV7()
	if err != nil { // no randomness: a name is not worth failing for
		return "unknown"
	}
	return id.String()
}

// preconditions is a connection that puts an If-Match header where the RPCs look
// for it: into the request's field etag.
type preconditions struct{ grpc.ClientConnInterface }

// Invoke returns Invalid when the header and the field say different things.
func (c preconditions) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	if md, ok := metadata.FromOutgoingContext(ctx); ok && len(md.Get(mdIfMatch)) > 0 {
		for _, header := range md.Get(mdIfMatch) {
			if err := fillEtag(req, header); err != nil {
				return err
			}
		}
	}
	return c.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
}

func fillEtag(req any, header string) error {
	message, ok := req.(proto.Message)
	if !ok {
		return nil
	}
	m := message.ProtoReflect()
	field := m.Descriptor().Fields().ByName("etag")
	etag := bareEtag(header)
	if field == nil || field.Kind() != protoreflect.StringKind || etag == "*" {
		return nil // "*" asks that the resource exists, which it must anyway
	}
	if given := m.Get(field).String(); given != "" && bareEtag(given) != etag {
		return errs.InvalidFields([]errs.Violation{{
			Field: "If-Match", Reason: "ETAGS_DIFFER", Description: "must be the etag that the request names otherwise, or be left out",
		}})
	}
	m.Set(field, protoreflect.ValueOfString(etag))
	return nil
}

// bareEtag is one tag without quotes and without W/, which proxies that compress
// put before it. A list stays as it is: no etag equals it, so it never lets pass
// what it should not.
func bareEtag(tag string) string {
	tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
	if len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"' && strings.Count(tag, `"`) == 2 {
		tag = tag[1 : len(tag)-1]
	}
	for _, suffix := range []string{encodedSuffix, "-zstd"} {
		tag = strings.TrimSuffix(tag, suffix)
	}
	return tag
}
