// Package rpctest is a small gRPC service for tests of what comes before every
// service: one RPC for each kind of access rule and each kind of stream. It is
// made at run time, so that the API proper holds nothing for tests.
package rpctest

import (
	"context"
	"fmt"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	accessv1 "github.com/preceptor-dev/preceptor/gen/preceptor/access/v1"
)

// The RPCs. All take and return an Echo message.
const (
	// NoRule has no access option.
	NoRule = "/preceptor.test.v1.EchoService/NoRule"
	// Everyone admits learners and admins. It may be repeated.
	Everyone = "/preceptor.test.v1.EchoService/Everyone"
	// Author admits authors and admins. It creates, by an idempotency key.
	Author = "/preceptor.test.v1.EchoService/Author"
	// Own admits the learner whose data it is, and admins.
	Own = "/preceptor.test.v1.EchoService/Own"
	// Internal admits the service progress.
	Internal = "/preceptor.test.v1.EchoService/Internal"
	// Watch streams responses; access as Own, and by ticket.
	Watch = "/preceptor.test.v1.EchoService/Watch"
	// Upload streams requests; access as Own.
	Upload = "/preceptor.test.v1.EchoService/Upload"
	// Chat streams both ways; it admits learners.
	Chat = "/preceptor.test.v1.EchoService/Chat"
)

// Service is the test service and what it does.
type Service struct {
	// Unary handles the unary RPCs.
	Unary func(ctx context.Context, req *Echo) (*Echo, error)
	// Stream serves the streams.
	Stream func(ss grpc.ServerStream) error

	files *protoregistry.Files
	echo  protoreflect.MessageDescriptor
}

// New makes the service; it echoes until told otherwise.
func New() (*Service, error) {
	file, err := protodesc.NewFile(fileProto(), protoregistry.GlobalFiles)
	if err != nil {
		return nil, fmt.Errorf("rpctest: %w", err)
	}
	s := &Service{files: &protoregistry.Files{}, echo: file.Messages().ByName("Echo")}
	if err := s.files.RegisterFile(file); err != nil {
		return nil, fmt.Errorf("rpctest: %w", err)
	}
	s.Unary = func(_ context.Context, req *Echo) (*Echo, error) { return req, nil }
	s.Stream = func(ss grpc.ServerStream) error {
		req := s.New()
		if err := ss.RecvMsg(req.Message); err != nil {
			return err
		}
		return ss.SendMsg(req.Message)
	}
	return s, nil
}

// Files hold the service's descriptor, for a guard.
func (s *Service) Files() *protoregistry.Files { return s.files }

// Echo is the service's one message:
//
//	message Echo {
//	  string learner_id = 1;
//	  string text = 2 [(buf.validate.field).string.max_len = 100000];
//	  repeated Echo items = 3;
//	  map<string, string> labels = 4;
//	  Echo patch = 5 [(buf.validate.field).ignore = IGNORE_ALWAYS];
//	  repeated Echo events = 6 [(buf.validate.field).repeated.items.ignore = IGNORE_ALWAYS];
//	  bytes blob = 7;
//	  string module_id = 8 [(buf.validate.field).string.pattern = "^[a-z-]*$"];
//	}
type Echo struct{ *dynamicpb.Message }

// New is an empty message.
func (s *Service) New() *Echo { return &Echo{dynamicpb.NewMessage(s.echo)} }

// With is a message with the text and the learner id.
func (s *Service) With(learnerID, text string) *Echo {
	m := s.New()
	m.SetText("learner_id", learnerID)
	m.SetText("text", text)
	return m
}

// Text is the string field's value.
func (e *Echo) Text(field protoreflect.Name) string { return e.Get(e.field(field)).String() }

// SetText sets a string field.
func (e *Echo) SetText(field protoreflect.Name, text string) {
	e.Set(e.field(field), protoreflect.ValueOfString(text))
}

// SetBlob sets the field blob.
func (e *Echo) SetBlob(blob []byte) { e.Set(e.field("blob"), protoreflect.ValueOfBytes(blob)) }

// SetLabel sets a key of the map labels.
func (e *Echo) SetLabel(key, value string) {
	e.Mutable(e.field("labels")).Map().Set(protoreflect.ValueOfString(key).MapKey(), protoreflect.ValueOfString(value))
}

// Append adds an element to the list items or events.
func (e *Echo) Append(field protoreflect.Name, element *Echo) {
	e.Mutable(e.field(field)).List().Append(protoreflect.ValueOfMessage(element.Message))
}

// SetPatch sets the field patch.
func (e *Echo) SetPatch(patch *Echo) {
	e.Set(e.field("patch"), protoreflect.ValueOfMessage(patch.Message))
}

func (e *Echo) field(name protoreflect.Name) protoreflect.FieldDescriptor {
	return e.Descriptor().Fields().ByName(name)
}

// Register registers the service the way generated code does.
func (s *Service) Register(r grpc.ServiceRegistrar) {
	desc := &grpc.ServiceDesc{ServiceName: "preceptor.test.v1.EchoService", HandlerType: (*any)(nil)}
	for _, method := range []string{NoRule, Everyone, Author, Own, Internal} {
		desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: shortName(method), Handler: s.handler(method)})
	}
	for method, stream := range Streams() {
		stream.StreamName = shortName(method)
		stream.Handler = func(_ any, ss grpc.ServerStream) error { return s.Stream(ss) }
		desc.Streams = append(desc.Streams, stream)
	}
	r.RegisterService(desc, s)
}

// Streams describe the streams for a client.
func Streams() map[string]grpc.StreamDesc {
	return map[string]grpc.StreamDesc{
		Watch:  {ServerStreams: true},
		Upload: {ClientStreams: true},
		Chat:   {ServerStreams: true, ClientStreams: true},
	}
}

func (s *Service) handler(method string) grpc.MethodHandler {
	return func(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		req := s.New()
		if err := decode(req.Message); err != nil {
			return nil, err
		}
		serve := func(ctx context.Context, req any) (any, error) {
			message, ok := req.(*dynamicpb.Message)
			if !ok {
				return nil, fmt.Errorf("rpctest: request %T", req)
			}
			resp, err := s.Unary(ctx, &Echo{message})
			if err != nil {
				return nil, err
			}
			return resp.Message, nil
		}
		if intercept == nil {
			return serve(ctx, req.Message)
		}
		return intercept(ctx, req.Message, &grpc.UnaryServerInfo{Server: s, FullMethod: method}, serve)
	}
}

// Call makes a unary call.
func (s *Service) Call(ctx context.Context, conn grpc.ClientConnInterface, method string, req *Echo, opts ...grpc.CallOption) (*Echo, error) {
	resp := s.New()
	if err := conn.Invoke(ctx, method, req.Message, resp.Message, opts...); err != nil {
		return nil, err
	}
	return resp, nil
}

// Open opens a stream.
func (s *Service) Open(ctx context.Context, conn grpc.ClientConnInterface, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	desc := Streams()[method]
	return conn.NewStream(ctx, &desc, method, opts...)
}

func shortName(method string) string { return method[len("/preceptor.test.v1.EchoService/"):] }

func fileProto() *descriptorpb.FileDescriptorProto {
	labels := &descriptorpb.DescriptorProto{
		Name:    new("LabelsEntry"),
		Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
		Field: []*descriptorpb.FieldDescriptorProto{
			field("key", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING, nil),
			field("value", 2, descriptorpb.FieldDescriptorProto_TYPE_STRING, nil),
		},
	}
	const text, message = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	echo := &descriptorpb.DescriptorProto{
		Name:       new("Echo"),
		NestedType: []*descriptorpb.DescriptorProto{labels},
		Field: []*descriptorpb.FieldDescriptorProto{
			field("learner_id", 1, text, nil),
			field("text", 2, text, &validate.FieldRules{Type: &validate.FieldRules_String_{String_: &validate.StringRules{MaxLen: new(uint64(100_000))}}}),
			repeated(of("Echo", field("items", 3, message, nil))),
			repeated(of("Echo.LabelsEntry", field("labels", 4, message, nil))),
			of("Echo", field("patch", 5, message, &validate.FieldRules{Ignore: validate.Ignore_IGNORE_ALWAYS.Enum()})),
			repeated(of("Echo", field("events", 6, message, &validate.FieldRules{Type: &validate.FieldRules_Repeated{
				Repeated: &validate.RepeatedRules{Items: &validate.FieldRules{Ignore: validate.Ignore_IGNORE_ALWAYS.Enum()}},
			}}))),
			field("blob", 7, descriptorpb.FieldDescriptorProto_TYPE_BYTES, nil),
			field("module_id", 8, text, &validate.FieldRules{Type: &validate.FieldRules_String_{String_: &validate.StringRules{Pattern: new("^[a-z-]*$")}}}),
		},
	}
	return &descriptorpb.FileDescriptorProto{
		Name: new("preceptor/test/v1/test.proto"), Package: new("preceptor.test.v1"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{echo},
		Service:     []*descriptorpb.ServiceDescriptorProto{{Name: new("EchoService"), Method: methods()}},
	}
}

func methods() []*descriptorpb.MethodDescriptorProto {
	own := &accessv1.Access{Roles: []accessv1.Access_Role{accessv1.Access_ADMIN}, Self: true}
	rules := map[string]*accessv1.Access{
		NoRule:   nil,
		Everyone: {Roles: []accessv1.Access_Role{accessv1.Access_LEARNER, accessv1.Access_ADMIN}},
		Author:   {Roles: []accessv1.Access_Role{accessv1.Access_AUTHOR, accessv1.Access_ADMIN}, IdempotentCreate: true},
		Own:      own, Upload: own,
		Watch:    {Roles: own.GetRoles(), Self: true, Ticket: true},
		Internal: {Services: []string{"progress"}},
		Chat:     {Roles: []accessv1.Access_Role{accessv1.Access_LEARNER}},
	}
	var out []*descriptorpb.MethodDescriptorProto
	for method, rule := range rules {
		m := &descriptorpb.MethodDescriptorProto{
			Name: new(shortName(method)), Options: &descriptorpb.MethodOptions{},
			InputType: new(".preceptor.test.v1.Echo"), OutputType: new(".preceptor.test.v1.Echo"),
			ServerStreaming: new(Streams()[method].ServerStreams), ClientStreaming: new(Streams()[method].ClientStreams),
		}
		if method == Everyone {
			m.Options.IdempotencyLevel = descriptorpb.MethodOptions_IDEMPOTENT.Enum()
		}
		if rule != nil {
			proto.SetExtension(m.GetOptions(), accessv1.E_Access, rule)
		}
		out = append(out, m)
	}
	return out
}

func field(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type, rules *validate.FieldRules) *descriptorpb.FieldDescriptorProto {
	f := &descriptorpb.FieldDescriptorProto{
		Name: new(name), Number: new(number), Type: kind.Enum(),
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	if rules != nil {
		f.Options = &descriptorpb.FieldOptions{}
		proto.SetExtension(f.GetOptions(), validate.E_Field, rules)
	}
	return f
}

func of(message string, f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
	f.TypeName = new(".preceptor.test.v1." + message)
	return f
}

func repeated(f *descriptorpb.FieldDescriptorProto) *descriptorpb.FieldDescriptorProto {
	f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	return f
}
