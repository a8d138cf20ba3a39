package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// reading is a route that reads one message, and has no handler of its own.
type reading struct {
	conn    grpc.ClientConnInterface
	in, out protoreflect.MessageType
	body    protoreflect.FieldDescriptor // the field that is the response's body; nil for the whole message
}

// readings returns the routes that read answers from a service, by RPC. Each service is the package of its API.
func (g *Gateway) readings() (map[string]*reading, error) {
	found := map[string]*reading{}
	for _, r := range g.routes {
		service := strings.Split(r.rpc, ".")[1]
		_, own := g.own[r.rpc]
		if r.method != http.MethodGet || own || g.config.Conns[service] == nil {
			continue
		}
		in, err := protoregistry.GlobalTypes.FindMessageByName(r.input.FullName())
		if err != nil {
			return nil, fmt.Errorf("gateway: %s: %w", r.rpc, err)
		}
		out, err := protoregistry.GlobalTypes.FindMessageByName(r.output.FullName())
		if err != nil {
			return nil, fmt.Errorf("gateway: %s: %w", r.rpc, err)
		}
		found[r.rpc] = &reading{g.config.Conns[service], in, out, r.output.Fields().ByName(protoreflect.Name(r.responseBody))}
	}
	return found, nil
}

// request returns the request that a path and a query make.
func (d *reading) request(x *exchange) (proto.Message, error) {
	req := d.in.New().Interface()
	for name, value := range x.params {
		if err := runtime.PopulateFieldFromPath(req, name, value); err != nil {
			return nil, errs.Wrap(err, errs.Invalid, errs.ReasonInvalidArgument, "the path cannot be read")
		}
	}
	if len(x.query) == 0 {
		return req, nil
	}
	if err := x.query.populate(req); err != nil {
		return nil, errs.Wrap(err, errs.Invalid, errs.ReasonInvalidArgument, "the query cannot be read")
	}
	return req, nil
}

// shown returns what of a response is the body.
func (d *reading) shown(resp proto.Message) proto.Message {
	if d.body == nil {
		return resp
	}
	return resp.ProtoReflect().Get(d.body).Message().Interface()
}

// read serves a route that reads one message. The service is asked each time, so that it authenticates and admits
// the caller. It is told which answers the gateway and the client have, and sends none where one of them holds.
func (g *Gateway) read(w http.ResponseWriter, r *http.Request, d *reading) {
	x := exchangeOf(r)
	req, err := d.request(x)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	ctx, cancel := x.limited(r.Context())
	defer cancel()
	under := keptUnder(x, r)
	have, _ := g.kept.get(under)
	client := r.Header.Values("If-None-Match")
	ctx = metadata.NewOutgoingContext(ctx, g.asking(r, namesOf(have, client)))
	resp := d.out.New().Interface()
	var header metadata.MD
	if err := d.conn.Invoke(ctx, x.route.rpc, req, resp, grpc.StaticMethod(), grpc.Header(&header)); err != nil {
		g.fail(w, r, err)
		return
	}
	g.seen.note(header)
	forwardHeaders(w, header)
	holds := have
	switch name := first(header, rpc.UnchangedKey); {
	case name == "":
		if holds, err = g.encode(header, d.shown(resp)); err != nil {
			g.fail(w, r, err)
			return
		}
		g.kept.keep(under, holds)
	case have == nil || name != have.name:
		if _, asked := matching(client, `"`+name+`"`); !asked {
			g.fail(w, r, errs.New(errs.Internal, errs.ReasonInternal, "the service says of an answer that nobody has that it holds"))
			return
		}
		w.Header().Set("ETag", `"`+name+`"`)
		w.WriteHeader(http.StatusOK) // which becomes 304, since the client has it
		return
	}
	x.keep(under, holds)
	holds.write(w)
}

// encode returns an answer as JSON, with the names that the service gave it.
func (g *Gateway) encode(header metadata.MD, message proto.Message) (*kept, error) {
	body, err := g.json.Marshal(message)
	if err != nil {
		return nil, err
	}
	etag := first(header, "etag")
	k := &kept{etag: etag, name: first(header, rpc.ValidatorKey), body: body}
	if k.name == "" && etag != "" {
		k.name = rpc.BareEtag(etag)
	}
	return k, nil
}

// write writes an answer.
func (k *kept) write(w http.ResponseWriter) {
	h := w.Header()
	if k.etag != "" {
		h.Set("ETag", k.etag)
	}
	h.Set("Content-Type", wire.ContentType)
	h.Set("Content-Length", k.length())
	_, _ = w.Write(k.body) // the client may have gone
}

// asking returns the metadata of a call that reads, with the names of answers that are there.
func (g *Gateway) asking(r *http.Request, names []string) metadata.MD {
	md := g.ownMetadata(exchangeOf(r).route.rpc, r)
	md["authorization"] = r.Header.Values("Authorization")
	if len(names) > 0 {
		md[rpc.KnownKey] = names
	}
	return md
}

// limited returns ctx with the client's own time limit.
func (x *exchange) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if x.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, x.timeout)
}

// namesOf returns the names of answers that the gateway and the client have, as a service knows them. Those beyond
// what a service looks at are compared here, with the whole answer.
func namesOf(have *kept, client []string) []string {
	var names []string
	if have != nil {
		names = append(names, have.name)
	}
	for _, list := range client {
		for tag := range strings.SplitSeq(list, ",") {
			name := rpc.BareEtag(tag)
			if len(names) == rpc.MaxKnown {
				return names
			}
			if name != "" && name != "*" && isVisible(name) && (have == nil || name != have.name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// first returns the first value of a key, or "".
func first(md metadata.MD, key string) string {
	if values := md[key]; len(values) > 0 {
		return values[0]
	}
	return ""
}
