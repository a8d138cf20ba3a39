package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// TestMistakesOverGRPC makes the mistakes that a message can hold on every RPC, those for services too,
// and holds their answers to the same table.
func TestMistakesOverGRPC(t *testing.T) {
	t.Parallel()
	p := openAll(t)
	issuer, err := auth.OpenLocalIssuer(p.cfg.Data, p.now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := issuer.Mint("mistaken", []auth.Role{auth.RoleLearner, auth.RoleManager, auth.RoleAuthor, auth.RoleAdmin}, "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]int{}
	for _, rule := range auth.Rules(protoregistry.GlobalFiles) {
		ctx, caller := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token), Gateway
		if services := rule.Access.GetServices(); len(services) > 0 {
			ctx, caller = t.Context(), services[0]
		}
		for i := range rule.Descriptor.Input().Fields().Len() {
			fd := rule.Descriptor.Input().Fields().Get(i)
			for kind, set := range messageMistakes(fd) {
				req := sampleOf(t, rule)
				set(req.ProtoReflect())
				checkStatus(t, rule, kind, fd.JSONName(), call(ctx, t, p, rule, caller, req))
				made[kind]++
			}
		}
	}
	for _, kind := range []string{"NUL in a field", "long field", "missing field", "UUID in the path", "slug in the path", "enum without a name", "parameter's range", "page token", "mask of no field"} {
		if made[kind] == 0 {
			t.Errorf("nobody made the mistake %q", kind)
		}
	}
	t.Logf("%v", made)
}

// sampleOf is a request of the RPC that its rules accept.
func sampleOf(t *testing.T, rule auth.Rule) proto.Message {
	t.Helper()
	req := message(t, rule.Descriptor.Input())
	for i := range rule.Descriptor.Input().Fields().Len() {
		fd := rule.Descriptor.Input().Fields().Get(i)
		switch value := sample(fd); {
		case rule.NamesLearner && fd.Name() == "learner_id":
			req.ProtoReflect().Set(fd, protoreflect.ValueOfString(auth.Me))
		case value != "":
			req.ProtoReflect().Set(fd, protoreflect.ValueOfString(value))
		case fd.Kind() == protoreflect.Int32Kind && rulesOf(fd).GetInt32().GetGte() > 0:
			req.ProtoReflect().Set(fd, protoreflect.ValueOfInt32(1))
		case fd.IsList() && fd.Kind() == protoreflect.StringKind && rulesOf(fd).GetRepeated().GetMinItems() > 0:
			req.ProtoReflect().Mutable(fd).List().Append(protoreflect.ValueOfString(item(fd)))
		}
	}
	return req
}

// messageMistakes returns what sets a field to something wrong, by the kind of mistake.
func messageMistakes(fd protoreflect.FieldDescriptor) map[string]func(protoreflect.Message) {
	all := map[string]func(protoreflect.Message){}
	put := func(kind string, value protoreflect.Value) {
		all[kind] = func(m protoreflect.Message) { m.Set(fd, value) }
	}
	rules := rulesOf(fd)
	switch {
	case fd.IsList(), rules.GetIgnore() != 0:
	case fd.Kind() == protoreflect.StringKind:
		text := func(kind, value string) { put(kind, protoreflect.ValueOfString(value)) }
		if fd.Name() != "learner_id" {
			text("NUL in a field", "a\x00")
		}
		if n := rules.GetString().GetMaxLen(); n > 0 && fd.Name() != "learner_id" {
			text("long field", strings.Repeat("a", int(n)+1))
		}
		if sample(fd) != "" && rules != nil {
			text("missing field", "")
		}
		switch {
		case fd.Name() == "learner_id" || rules.GetString().GetUuid():
			text("UUID in the path", "seven")
		case rules.GetString().GetPattern() != "" && fd.Name() != "topic":
			text("slug in the path", "No_Slug")
		}
		about := fd.ContainingMessage().Fields() // a thing that must exist is looked up before the token is read
		if fd.Name() == "page_token" && about.ByName("module_id") == nil && about.ByName("path_id") == nil {
			text("page token", "nonsense")
		}
	case fd.Kind() == protoreflect.EnumKind:
		put("enum without a name", protoreflect.ValueOfEnum(99))
	case fd.Kind() == protoreflect.Int32Kind && rules.GetInt32() != nil:
		put("parameter's range", protoreflect.ValueOfInt32(-1))
	case fd.Kind() == protoreflect.Int64Kind && rules.GetInt64() != nil:
		put("parameter's range", protoreflect.ValueOfInt64(-1))
	case fd.Message() != nil && fd.Message().FullName() == "google.protobuf.FieldMask":
		all["mask of no field"] = func(m protoreflect.Message) {
			paths := m.Mutable(fd).Message()
			paths.Mutable(paths.Descriptor().Fields().ByName("paths")).List().Append(protoreflect.ValueOfString("nope"))
		}
	}
	return all
}

// call makes an RPC, and returns its error.
func call(ctx context.Context, t *testing.T, p *process, rule auth.Rule, caller string, req proto.Message) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	name := serviceOf(rule)
	if name == "audit" {
		name = Progress
	}
	conn, resp := p.find(name).server.InProcess(caller), message(t, rule.Descriptor.Output())
	if !rule.Descriptor.IsStreamingServer() {
		return conn.Invoke(ctx, rule.Method, req, resp)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, rule.Method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(req); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(resp)
}

func checkStatus(t *testing.T, rule auth.Rule, kind, field string, err error) {
	t.Helper()
	st, want := status.Convert(err), outcomes[kind]
	if kind == "mask of no field" {
		field = "updateMask"
	}
	var reason string
	var got []string
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				got = append(got, v.GetField()+" "+v.GetReason())
			}
		}
	}
	if rpc.CodeName(st.Code()) != want.code || reason != want.reason || len(got) != 1 || got[0] != field+" "+want.violation {
		t.Errorf("%s of %s in %s: %v %s %q, want %s %s %q", kind, field, rule.Method, st.Code(), reason, got, want.code, want.reason, field+" "+want.violation)
	}
}
