package gateway

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/feed"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// Metadata between the gateway and the services.
const (
	mdRequestID = "x-request-id"
	mdStatus    = "http-status"
	mdIfMatch   = "if-match"
)

// maxRequestID bounds a client's request id, which is logged.
const maxRequestID = 128

// incomingHeader returns under which name a header is forwarded to the services, if it is.
// grpc-gateway itself forwards Authorization. The trace goes on by the client of the services, where it is one.
func incomingHeader(name string) (string, bool) {
	switch name {
	case "Idempotency-Key", "If-Match", "Last-Event-Id":
		return strings.ToLower(name), true
	}
	return "", false
}

// outgoingHeader returns under which name metadata of a response is sent to the client, if it is.
func outgoingHeader(name string) (string, bool) {
	switch name {
	case "etag", "location", "retry-after", "preceptor-as-of-sequence", rpc.ReplayedKey, feed.CatalogRevision, feed.ProfileRevision:
		return name, true
	}
	return "", false
}

// metadata returns the metadata that the gateway itself adds to a call of the mux.
func (g *Gateway) metadata(ctx context.Context, r *http.Request) metadata.MD {
	rpc, _ := runtime.RPCMethod(ctx)
	return g.ownMetadata(rpc, r)
}

// ownMetadata returns the metadata that the gateway itself adds to a call of an RPC.
func (g *Gateway) ownMetadata(rpc string, r *http.Request) metadata.MD {
	md := metadata.MD{mdRequestID: {exchangeOf(r).id}}
	if strings.HasPrefix(rpc, "/preceptor.progress.") {
		g.seen.demand(md)
	}
	if ticket, ok := ticketOf(r); ok {
		// What is here replaces the header. Beside a token, both go on, and are refused.
		md.Append("authorization", r.Header.Values("Authorization")...)
		md.Append("authorization", auth.TicketScheme+" "+ticket)
	}
	// The mux reads query parameters only where a body leaves room for them; this one counts on
	// every write. What is added here replaces the header's value, so that is added too.
	if etag := exchangeOf(r).query.get("etag"); etag != "" && r.Method != http.MethodGet {
		md.Append(mdIfMatch, append(slices.Clone(r.Header.Values("If-Match")), etag)...)
	}
	return md
}

// outgoing returns a context for a call of the route's RPC, with the metadata that the mux would send and services
// read, and the client's own time limit.
func (g *Gateway) outgoing(ctx context.Context, r *http.Request) (context.Context, context.CancelFunc) {
	x := exchangeOf(r)
	ctx, cancel := x.limited(ctx)
	md := g.ownMetadata(x.route.rpc, r)
	for header, values := range r.Header {
		name, ok := incomingHeader(header)
		if header == "Authorization" {
			name, ok = "authorization", true
		}
		if _, replaced := md[name]; ok && !replaced && !slices.ContainsFunc(values, func(v string) bool { return !isVisible(v) }) {
			md[name] = values
		}
	}
	return metadata.NewOutgoingContext(ctx, md), cancel
}

// muxResponse sees every response of the mux before it is written.
func (g *Gateway) muxResponse(ctx context.Context, w http.ResponseWriter, _ proto.Message) error {
	md, _ := runtime.ServerMetadataFromContext(ctx)
	g.seen.note(md.HeaderMD)
	if status := statusIn(md.HeaderMD); status != 0 {
		w.WriteHeader(status)
	}
	return nil
}

// respond writes a message as the mux would.
func (g *Gateway) respond(w http.ResponseWriter, r *http.Request, md metadata.MD, message proto.Message) {
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
	_, _ = w.Write(body) // the client may have gone
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

// statusIn returns the HTTP status that a service asked for, such as 201, or 0.
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

// revisions are the highest that responses have carried: progress must not use an older
// catalog, or older time zones, than its client has seen.
type revisions struct{ catalog, profile revision }

// note records the revisions in a response's metadata.
func (r *revisions) note(md metadata.MD) {
	r.catalog.note(feed.Revision(md.Get(feed.CatalogRevision)))
	r.profile.note(feed.Revision(md.Get(feed.ProfileRevision)))
}

// demand adds the revisions that progress must have reached to a call's metadata.
func (r *revisions) demand(md metadata.MD) {
	r.catalog.demand(md, feed.MinCatalogRevision)
	r.profile.demand(md, feed.MinProfileRevision)
}

// revision is the highest revision seen of a service, or 0.
type revision struct{ highest atomic.Int64 }

func (r *revision) note(seen int64) {
	for highest := r.highest.Load(); highest < seen; highest = r.highest.Load() {
		if r.highest.CompareAndSwap(highest, seen) {
			return
		}
	}
}

func (r *revision) demand(md metadata.MD, key string) {
	if highest := r.highest.Load(); highest > 0 {
		md.Set(key, strconv.FormatInt(highest, 10))
	}
}

// requestID returns the client's id if it is fit for a log, or else a new one.
func requestID(given string) string {
	visible := func(r rune) bool { return r > ' ' && r <= '~' }
	if given != "" && len(given) <= maxRequestID && strings.IndexFunc(given, func(r rune) bool { return !visible(r) }) < 0 {
		return given
	}
	id, err := uuid.NewV7()
	if err != nil { // no randomness: no reason to fail the request
		return "unknown"
	}
	return id.String()
}

// preconditions is a connection that copies an If-Match header into the request's field
// etag, where the RPCs read it.
type preconditions struct{ grpc.ClientConnInterface }

// Invoke returns Invalid if the header and the field differ.
func (c preconditions) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	if x != nil && x.query.get("updateMask") == "" {
		leaveSentBack(req)
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	headers, field := md.Get(mdIfMatch), "If-Match"
	if x != nil && x.query.get("etag") != "" && len(headers) == 1 {
		field = "etag" // there is no header, but the query's parameter
	}
	for _, header := range headers {
		if err := fillEtag(req, field, header); err != nil {
			return err
		}
	}
	return c.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
}

// leaveSentBack removes from a mask that the mux made of the body's members those that only the service
// sets: a client may send back what it read. A mask that the client itself sends must not name them.
func leaveSentBack(req any) {
	masked, ok := req.(interface{ GetUpdateMask() *fieldmaskpb.FieldMask })
	message, isMessage := req.(proto.Message)
	if !ok || !isMessage || masked.GetUpdateMask() == nil {
		return
	}
	fields := message.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		entity := fields.Get(i).Message()
		if entity == nil || entity.FullName() == "google.protobuf.FieldMask" {
			continue
		}
		mask := masked.GetUpdateMask()
		mask.Paths = slices.DeleteFunc(mask.GetPaths(), func(path string) bool {
			name, _, _ := strings.Cut(path, ".")
			field := entity.Fields().ByName(protoreflect.Name(name))
			return field != nil && rpc.IsFixed(field)
		})
	}
}

func fillEtag(req any, name, header string) error {
	message, ok := req.(proto.Message)
	if !ok {
		return nil
	}
	m := message.ProtoReflect()
	field := m.Descriptor().Fields().ByName("etag")
	etag := rpc.BareEtag(header)
	if field == nil || field.Kind() != protoreflect.StringKind || etag == "*" {
		return nil // "*" requires that the resource exists, which it must anyway
	}
	if given := m.Get(field).String(); given != "" && rpc.BareEtag(given) != etag {
		return errs.InvalidFields([]errs.Violation{{
			Field: name, Reason: errs.ReasonEtagsDiffer, Description: "must be the etag that the request names otherwise, or be left out",
		}})
	}
	if sent := etagOfEntity(m); sent != "" && rpc.BareEtag(sent) != etag {
		return errs.InvalidFields([]errs.Violation{{
			Field: name, Reason: errs.ReasonEtagsDiffer, Description: "must be the etag of what the body sends back, or be left out",
		}})
	}
	m.Set(field, protoreflect.ValueOfString(etag))
	return nil
}

// etagOfEntity returns the etag of the entity that an update sends back, or "".
func etagOfEntity(m protoreflect.Message) string {
	var etag string
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() == nil || fd.IsList() || fd.IsMap() {
			return true
		}
		if field := fd.Message().Fields().ByName("etag"); field != nil && field.Kind() == protoreflect.StringKind {
			etag = v.Message().Get(field).String()
		}
		return true
	})
	return etag
}
