package gateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/preceptor-dev/preceptor/gateway"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

const token = "Bearer secret-token"

// call is one RPC that reached the backend.
type call struct {
	method string
	req    proto.Message
	md     metadata.MD
}

// backend is all three services at once: real gRPC on loopback, which responds to every
// method of the API with an empty message unless a test sets another response.
type backend struct {
	mu     sync.Mutex
	calls  []call
	unary  map[string]func(ctx context.Context, req proto.Message) (proto.Message, error)
	stream map[string]func(req proto.Message, s grpc.ServerStream) error
}

func (b *backend) handle(_ any, s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	full := protoreflect.FullName(strings.ReplaceAll(method[1:], "/", "."))
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(full)
	if err != nil {
		return status.Error(codes.Unimplemented, method)
	}
	md, _ := d.(protoreflect.MethodDescriptor)
	req := newMessage(md.Input())
	if err := s.RecvMsg(req); err != nil {
		return err
	}
	incoming, _ := metadata.FromIncomingContext(s.Context())
	b.mu.Lock()
	b.calls = append(b.calls, call{method, req, incoming})
	unary, stream := b.unary[method], b.stream[method]
	b.mu.Unlock()
	if stream != nil {
		return stream(req, s)
	}
	if unary == nil {
		return s.SendMsg(newMessage(md.Output()))
	}
	ctx := grpc.NewContextWithServerTransportStream(s.Context(), transport{s, method})
	resp, err := unary(ctx, req)
	if err != nil {
		return err
	}
	return s.SendMsg(resp)
}

// transport lets grpc.SetHeader reach a stream served without generated code.
type transport struct {
	grpc.ServerStream
	method string
}

func (t transport) Method() string { return t.method }
func (t transport) SetTrailer(md metadata.MD) error {
	t.ServerStream.SetTrailer(md)
	return nil
}

func newMessage(md protoreflect.MessageDescriptor) proto.Message {
	t, err := protoregistry.GlobalTypes.FindMessageByName(md.FullName())
	if err != nil {
		panic(err)
	}
	return t.New().Interface()
}

func (b *backend) last(tb testing.TB) call {
	tb.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.calls) == 0 {
		tb.Fatal("no call reached the backend")
	}
	return b.calls[len(b.calls)-1]
}

func (b *backend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.calls)
}

// responds sets the response of a method, with headers in pairs.
func (b *backend) responds(method string, resp proto.Message, headers ...string) {
	b.on(method, func(ctx context.Context, _ proto.Message) (proto.Message, error) {
		return resp, grpc.SetHeader(ctx, metadata.Pairs(headers...))
	})
}

func (b *backend) fails(method string, err error) {
	b.on(method, func(context.Context, proto.Message) (proto.Message, error) { return nil, err })
}

func (b *backend) on(method string, f func(context.Context, proto.Message) (proto.Message, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unary[method] = f
}

func (b *backend) streams(method string, f func(proto.Message, grpc.ServerStream) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stream[method] = f
}

// tokens accepts every token but "junk…" and "expired", as that of a subject of the same name.
type tokens struct{}

func (tokens) Verify(_ context.Context, token string) (auth.Principal, error) {
	switch {
	case strings.HasPrefix(token, "junk"):
		return auth.Principal{}, errs.New(errs.Unauthenticated, errs.ReasonTokenInvalid, "the bearer token is not valid here")
	case token == "expired":
		return auth.Principal{}, errs.New(errs.Unauthenticated, errs.ReasonTokenExpired, "the bearer token has expired; sign in again")
	case token == "unknowable":
		return auth.Principal{}, errs.New(errs.Unavailable, errs.ReasonIssuerUnreachable, "the token's issuer cannot be reached to verify it; try again")
	}
	return auth.Principal{Issuer: "https://issuer.example", Subject: token}, nil
}

// harness is a gateway in front of a backend.
type harness struct {
	*backend

	gateway *gateway.Gateway
	url     string
	server  *httptest.Server
	log     *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func open(tb testing.TB, change ...func(*gateway.Config)) *harness {
	tb.Helper()
	b := &backend{
		unary:  map[string]func(context.Context, proto.Message) (proto.Message, error){},
		stream: map[string]func(proto.Message, grpc.ServerStream) error{},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnknownServiceHandler(b.handle), grpc.MaxRecvMsgSize(32<<20))
	go func() { _ = s.Serve(l) }()
	tb.Cleanup(s.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	log := &safeBuffer{}
	config := gateway.Config{
		Conns: map[string]grpc.ClientConnInterface{"profile": conn, "catalog": conn, "progress": conn}, Now: testenv.Now, Version: "1.2.3",
		Verifier: tokens{},
		Logger:   slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&config)
	}
	g, err := gateway.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(g)
	tb.Cleanup(server.Close)
	tb.Cleanup(func() { _ = g.Close() })
	return &harness{backend: b, gateway: g, url: server.URL, server: server, log: log}
}

// response is what a request got.
type response struct {
	status int
	header http.Header
	body   string
}

// do asks; headers in pairs, and without the token where Authorization is "".
func (h *harness) do(tb testing.TB, method, path, body string, headers ...string) response {
	tb.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(tb.Context(), method, h.url+path, reader)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if req.Header.Get("Authorization") == "" {
		req.Header.Del("Authorization")
	}
	res, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return response{res.StatusCode, res.Header, string(text)}
}

// violates checks that a problem has exactly these violations: "field REASON".
func (p problem) violates(tb testing.TB, want ...string) {
	tb.Helper()
	var got []string
	for _, v := range p.Violations {
		got = append(got, v.Field+" "+v.Reason)
	}
	if !slices.Equal(got, want) {
		tb.Errorf("violations %q, want %q", got, want)
	}
}

func (h *harness) get(tb testing.TB, path string, headers ...string) response {
	tb.Helper()
	return h.do(tb, http.MethodGet, path, "", headers...)
}

// problem is a problem document as clients see it.
type problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Detail     string `json:"detail"`
	Instance   string `json:"instance"`
	Code       string `json:"code"`
	Reason     string `json:"reason"`
	RequestID  string `json:"requestId"`
	Status     int    `json:"status"`
	Violations []struct {
		Field       string `json:"field"`
		Description string `json:"description"`
		Reason      string `json:"reason"`
	} `json:"violations"`
}

func (p problem) fields() []string {
	var names []string
	for _, v := range p.Violations {
		names = append(names, v.Field)
	}
	return names
}

// wantProblem checks all that every problem has.
func (a response) wantProblem(tb testing.TB, status int, reason string) problem {
	tb.Helper()
	if a.status != status {
		tb.Fatalf("status %d, want %d; %s", a.status, status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		tb.Errorf("Content-Type %q", got)
	}
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		tb.Fatalf("%v in %s", err, a.body)
	}
	if p.Status != status || p.Reason != reason || p.Title == "" || p.Type == "" || p.Code == "" {
		tb.Errorf("problem %s, want status %d and reason %s", a.body, status, reason)
	}
	if p.RequestID == "" || p.RequestID != a.header.Get("X-Request-ID") {
		tb.Errorf("requestId %q, header %q", p.RequestID, a.header.Get("X-Request-ID"))
	}
	return p
}

func (a response) wantJSON(tb testing.TB, status int, want string) {
	tb.Helper()
	if a.status != status || a.body != want {
		tb.Errorf("%d %s\nwant %d %s", a.status, a.body, status, want)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		tb.Errorf("Content-Type %q", got)
	}
}

// fault is an error as our services return it.
func fault(code codes.Code, reason, message string, details ...protoadapt.MessageV1) error {
	all := append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: "preceptor.dev"}}, details...)
	st, err := status.New(code, message).WithDetails(all...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

// text is the body, uncompressed.
func (a response) text() (string, error) {
	var from io.Reader = strings.NewReader(a.body)
	switch a.header.Get("Content-Encoding") {
	case "gzip":
		unzip, err := gzip.NewReader(from)
		if err != nil {
			return "", err
		}
		from = unzip
	case "zstd":
		unzip, err := zstd.NewReader(from)
		if err != nil {
			return "", err
		}
		defer unzip.Close()
		from = unzip
	}
	text, err := io.ReadAll(from)
	return string(text), err
}
