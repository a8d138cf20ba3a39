package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/internal/rpc/rpctest"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// visit is one case on one conn.
type visit struct {
	*testing.T

	harness *harness
	conn    grpc.ClientConnInterface
}

// TestParity runs each case on the in-process connection and over loopback TCP
// with mutual TLS: nobody can tell which of the two a call took. A person calls as a service does.
func TestParity(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*visit){
		"caller":               parityCaller,
		"refusals":             parityRefusals,
		"metadata in":          parityMetadataIn,
		"bad metadata":         parityBadMetadata,
		"headers and trailers": parityHeaders,
		"bad headers":          parityBadHeaders,
		"error details":        parityErrorDetails,
		"foreign errors":       parityForeignErrors,
		"validation":           parityValidation,
		"panics":               parityPanics,
		"deadlines":            parityDeadlines,
		"cancellation":         parityCancellation,
		"large messages":       parityLargeMessages,
		"large answers":        parityLargeAnswers,
		"unknown methods":      parityUnknownMethods,
		"no sharing":           parityNoSharing,
		"encoded answers":      parityEncoded,
		"normal form":          parityNormalize,
		"normal form, stream":  parityNormalizeStream,
		"stream":               parityStream,
		"stream header":        parityStreamHeader,
		"stream early error":   parityStreamEarlyError,
		"stream late error":    parityStreamLateError,
		"stream cancelled":     parityStreamCancelled,
		"receive":              parityReceive,
		"receive failures":     parityReceiveFailures,
		"receive ends":         parityReceiveEnds,
		"upload refused":       parityUploadRefused,
		"chat":                 parityChat,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("in process", func(t *testing.T) {
				h := newHarness(t)
				test(&visit{t, h, h.server.InProcess("gateway")})
			})
			t.Run("network", func(t *testing.T) {
				h := newHarness(t)
				test(&visit{t, h, h.network(t, "gateway")})
			})
			if name == "caller" || name == "deadlines" { // of our own clients
				return
			}
			t.Run("network, as a person", func(t *testing.T) {
				h := newHarness(t)
				test(&visit{t, h, h.person(t)})
			})
		})
	}
}

func wantCode(tb testing.TB, err error, code codes.Code, reason string) {
	tb.Helper()
	if status.Code(err) != code || reasonOf(err) != reason {
		tb.Errorf("got %v (%s), want %s %s", err, reasonOf(err), code, reason)
	}
}

func parityCaller(t *visit) {
	h, conn := t.harness, t.conn
	h.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		p, _ := auth.FromContext(ctx)
		req.SetText("text", p.ActorID()+" by "+p.Service+" for "+p.LearnerID)
		return req, nil
	}
	got, err := h.Call(h.as(t), conn, rpctest.Own, h.With("me", ""))
	if err != nil || got.Text("text") != "https://preceptor.local|ada by gateway for "+adaID || got.Text("learner_id") != adaID {
		t.Errorf("got %v %v", got, err)
	}
	log := h.log.String()
	for _, part := range []string{
		`"method":"` + rpctest.Own, `"code":"OK"`, `"caller":"` + adaID + `"`, `"peer":"gateway"`, `"request_id":"`, `"duration_ms":`,
	} {
		if !strings.Contains(log, part) {
			t.Errorf("the log lacks %s: %s", part, log)
		}
	}
	if strings.Contains(log, "eyJ") {
		t.Error("the log holds a token")
	}
}

func parityRefusals(t *visit) {
	h, conn := t.harness, t.conn
	h.Unary = func(context.Context, *rpctest.Echo) (*rpctest.Echo, error) {
		t.Error("the handler was called")
		return h.New(), nil
	}
	_, err := h.Call(t.Context(), conn, rpctest.Everyone, h.New())
	wantCode(t, err, codes.Unauthenticated, errs.ReasonTokenMissing)
	_, err = h.Call(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer x"), conn, rpctest.Everyone, h.New())
	wantCode(t, err, codes.Unauthenticated, errs.ReasonTokenInvalid)
	_, err = h.Call(h.as(t), conn, rpctest.Author, h.New())
	wantCode(t, err, codes.PermissionDenied, errs.ReasonRoleRequired)
	_, err = h.Call(h.as(t), conn, rpctest.NoRule, h.New())
	wantCode(t, err, codes.PermissionDenied, errs.ReasonNoAccessRule)
	_, err = h.Call(h.as(t), conn, rpctest.Own, h.With(strings.Replace(adaID, "a", "b", 1), ""))
	wantCode(t, err, codes.PermissionDenied, errs.ReasonNotYourData)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-service", "progress", "preceptor-service", "progress")
	_, err = h.Call(ctx, conn, rpctest.Internal, h.New()) // we are the gateway, whatever the metadata says
	wantCode(t, err, codes.Unauthenticated, errs.ReasonTokenMissing)
}

func parityMetadataIn(t *visit) {
	h, conn := t.harness, t.conn
	var got metadata.MD
	var id string
	h.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		got, _ = metadata.FromIncomingContext(ctx)
		id = rpc.RequestID(ctx)
		return req, nil
	}
	ctx := metadata.AppendToOutgoingContext(h.as(t), "Idempotency-Key", "k1", "twice", "a", "twice", "b",
		"raw-bin", "\x00\xff", "x-request-id", "req-1", "content-type", "text/html", "te", "x", "grpc-timeout", "1S")
	if _, err := h.Call(ctx, conn, rpctest.Everyone, h.New()); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][]string{"idempotency-key": {"k1"}, "twice": {"a", "b"}, "raw-bin": {"\x00\xff"}, "te": nil, "grpc-timeout": nil} {
		if !slices.Equal(got.Get(key), want) {
			t.Errorf("%s: %q, want %q", key, got.Get(key), want)
		}
	}
	if slices.Contains(got.Get("content-type"), "text/html") || id != "req-1" {
		t.Errorf("content-type %q, request id %q", got.Get("content-type"), id)
	}
	for _, bad := range []string{"", "with space", strings.Repeat("a", 200)} {
		if _, err := h.Call(metadata.AppendToOutgoingContext(h.as(t), "x-request-id", bad), conn, rpctest.Everyone, h.New()); err != nil {
			t.Fatal(err)
		}
		if len(id) != 36 {
			t.Errorf("request id %q was taken as %q", bad, id)
		}
	}
}

func parityBadMetadata(t *visit) {
	h, conn := t.harness, t.conn
	for _, md := range []metadata.MD{{"k": {"new\nline"}}, {"k": {"é"}}, {"": {"v"}}, {"a b": {"v"}}} {
		ctx := metadata.NewOutgoingContext(t.Context(), md)
		_, err := h.Call(ctx, conn, rpctest.Everyone, h.New())
		wantCode(t, err, codes.Internal, "")
		if _, err := h.Open(ctx, conn, rpctest.Watch); status.Code(err) != codes.Internal {
			t.Errorf("%q: %v", md, err)
		}
	}
}

func parityHeaders(t *visit) {
	h, conn := t.harness, t.conn
	var fail error
	h.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		_ = grpc.SetHeader(ctx, metadata.Pairs("etag", `"1"`, "many", "a", "grpc-status", "7"))
		_ = grpc.SetHeader(ctx, metadata.Pairs("many", "b", "raw-bin", "\x00\xfe"))
		_ = grpc.SetTrailer(ctx, metadata.Pairs("took", "1"))
		return req, fail
	}
	for _, fail = range []error{nil, errs.New(errs.NotFound, "NO_SUCH", "none")} {
		var header, trailer metadata.MD
		_, err := h.Call(h.as(t), conn, rpctest.Everyone, h.New(), grpc.Header(&header), grpc.Trailer(&trailer))
		if (err == nil) != (fail == nil) {
			t.Errorf("got %v", err)
		}
		if !slices.Equal(header.Get("etag"), []string{`"1"`}) || !slices.Equal(header.Get("many"), []string{"a", "b"}) ||
			!slices.Equal(header.Get("raw-bin"), []string{"\x00\xfe"}) || header.Get("grpc-status") != nil ||
			!slices.Equal(trailer.Get("took"), []string{"1"}) {
			t.Errorf("fail %v: header %v, trailer %v", fail, header, trailer)
		}
	}
}

func parityBadHeaders(t *visit) {
	h, conn := t.harness, t.conn
	check := func(ctx context.Context) error {
		for _, md := range []metadata.MD{{"k": {"new\nline"}}, {"K": {"v"}}} {
			if status.Code(grpc.SetHeader(ctx, md)) != codes.Internal || grpc.SendHeader(ctx, md) == nil || grpc.SetTrailer(ctx, md) == nil {
				return fmt.Errorf("%q could be set", md)
			}
		}
		return nil
	}
	h.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) { return req, check(ctx) }
	if _, err := h.Call(h.as(t), conn, rpctest.Everyone, h.New()); err != nil {
		t.Errorf("unary: %v: %s", err, h.log)
	}
	h.Stream = func(ss grpc.ServerStream) error {
		if ss.SetHeader(metadata.MD{"k": {"new\nline"}}) == nil || ss.SendHeader(metadata.MD{"k": {"new\nline"}}) == nil {
			return errors.New("could be set on the stream")
		}
		return check(ss.Context())
	}
	cs := openWatch(h.as(t), t, h, conn)
	if err := cs.RecvMsg(h.New().Message); !errors.Is(err, io.EOF) {
		t.Errorf("stream: %v: %s", err, h.log)
	}
}

func parityErrorDetails(t *visit) {
	h, conn := t.harness, t.conn
	var fail error
	h.Unary = func(context.Context, *rpctest.Echo) (*rpctest.Echo, error) { return nil, fail }
	ctx := metadata.AppendToOutgoingContext(h.as(t), "x-request-id", "req-7")
	for kind, code := range map[errs.Kind]codes.Code{
		errs.NotFound: codes.NotFound, errs.AlreadyExists: codes.AlreadyExists, errs.FailedPrecondition: codes.FailedPrecondition,
		errs.Aborted: codes.Aborted, errs.PermissionDenied: codes.PermissionDenied, errs.Unauthenticated: codes.Unauthenticated,
		errs.ResourceExhausted: codes.ResourceExhausted, errs.Unavailable: codes.Unavailable, errs.Invalid: codes.InvalidArgument,
		errs.DeadlineExceeded: codes.DeadlineExceeded, errs.Canceled: codes.Canceled, errs.Unimplemented: codes.Unimplemented,
	} {
		e := errs.Wrap(errors.New("secret insides"), kind, "SOME_REASON", "words %s", "\xff for the caller")
		e.RetryAfter = 3 * time.Second
		e.Violations = []errs.Violation{{Field: "a[1].bC", Description: "bad", Reason: "R1"}, {Field: "d", Description: "worse", Reason: "R2"}}
		fail = fmt.Errorf("on the way: %w", e)
		_, err := h.Call(ctx, conn, rpctest.Everyone, h.New())
		wantCode(t, err, code, "SOME_REASON")
		if got := status.Convert(err).Message(); got != "words \uFFFD for the caller" {
			t.Errorf("message %q", got)
		}
		violations := detail[errdetails.BadRequest](err).GetFieldViolations()
		if len(violations) != 2 || violations[0].GetField() != "a[1].bC" || violations[1].GetReason() != "R2" {
			t.Errorf("violations %v", violations)
		}
		if detail[errdetails.RetryInfo](err).GetRetryDelay().AsDuration() != 3*time.Second ||
			detail[errdetails.RequestInfo](err).GetRequestId() != "req-7" ||
			detail[errdetails.ErrorInfo](err).GetDomain() != rpc.ErrorDomain {
			t.Errorf("details %v", status.Convert(err).Details())
		}
	}
	fail = errs.New(errs.NotFound, "", "none")
	_, err := h.Call(ctx, conn, rpctest.Everyone, h.New())
	wantCode(t, err, codes.NotFound, "NOT_FOUND")
	many := make([]errs.Violation, 1500)
	fail = errs.InvalidFields(many)
	_, err = h.Call(ctx, conn, rpctest.Everyone, h.New())
	if n := len(detail[errdetails.BadRequest](err).GetFieldViolations()); n != 100 || !strings.Contains(err.Error(), "1500 fields are not valid") || !strings.Contains(err.Error(), "1400 more") {
		t.Errorf("%d violations: %v", n, err)
	}
}

func parityForeignErrors(t *visit) {
	h, conn := t.harness, t.conn
	var fail error
	h.Unary = func(context.Context, *rpctest.Echo) (*rpctest.Echo, error) { return nil, fail }
	ours := must(status.New(codes.NotFound, "no such learner").WithDetails(
		&errdetails.ErrorInfo{Domain: rpc.ErrorDomain, Reason: "LEARNER_GONE"}, &errdetails.RequestInfo{RequestId: "theirs"})).Err()
	for _, test := range []struct {
		err    error
		code   codes.Code
		reason string
	}{
		{errors.New("secret: table x"), codes.Internal, errs.ReasonInternal},
		{errs.Wrap(ours, errs.Internal, "", "secret: profile"), codes.Internal, errs.ReasonInternal},
		{status.Error(codes.Unavailable, "secret: dial tcp 10.0.0.1"), codes.Unavailable, errs.ReasonUpstreamUnavailable},
		{fmt.Errorf("asking: %w", status.Error(codes.Unavailable, "secret")), codes.Unavailable, errs.ReasonUpstreamUnavailable},
		{status.Error(codes.PermissionDenied, "secret"), codes.Internal, errs.ReasonInternal},
		{status.Error(codes.Unimplemented, "secret"), codes.Unimplemented, "UNIMPLEMENTED"},
		{status.Error(codes.DeadlineExceeded, "secret"), codes.DeadlineExceeded, "DEADLINE_EXCEEDED"},
		{context.DeadlineExceeded, codes.DeadlineExceeded, "DEADLINE_EXCEEDED"},
		{fmt.Errorf("secret: %w", context.Canceled), codes.Canceled, "CANCELLED"},
		{errs.Wrap(context.Canceled, errs.Internal, "", "secret"), codes.Canceled, "CANCELLED"},
		{fmt.Errorf("asking profile: %w", ours), codes.NotFound, "LEARNER_GONE"},
	} {
		fail = test.err
		_, err := h.Call(metadata.AppendToOutgoingContext(h.as(t), "x-request-id", "mine"), conn, rpctest.Everyone, h.New())
		wantCode(t, err, test.code, test.reason)
		if strings.Contains(status.Convert(err).Message(), "secret") || detail[errdetails.RequestInfo](err).GetRequestId() != "mine" {
			t.Errorf("%v: %v", test.err, err)
		}
	}
	if !strings.Contains(h.log.String(), "secret: table x") {
		t.Error("the log does not tell the cause of an internal error")
	}
}

func parityValidation(t *visit) {
	h, conn := t.harness, t.conn
	bad := h.With("", strings.Repeat("x", 100_001))
	item := h.New()
	item.SetText("module_id", "NOT a slug")
	bad.Append("items", h.New())
	bad.Append("items", item)
	bad.SetLabel("k", "nul\x00")
	_, err := h.Call(h.as(t), conn, rpctest.Everyone, bad)
	wantCode(t, err, codes.InvalidArgument, "INVALID_ARGUMENT")
	var got []string
	for _, v := range detail[errdetails.BadRequest](err).GetFieldViolations() {
		got = append(got, v.GetField()+" "+v.GetReason())
	}
	slices.Sort(got)
	want := []string{"items[1].moduleId MALFORMED", `labels["k"] NUL_CHARACTER`, "text TOO_LONG"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	cs, err := h.Open(h.as(t, auth.RoleAdmin), conn, rpctest.Watch)
	if err != nil || cs.SendMsg(bad.Message) != nil {
		t.Fatal(err)
	}
	wantCode(t, cs.RecvMsg(h.New().Message), codes.InvalidArgument, "INVALID_ARGUMENT")
}

func parityPanics(t *visit) {
	h, conn := t.harness, t.conn
	h.Unary = func(context.Context, *rpctest.Echo) (*rpctest.Echo, error) { panic("secret insides") }
	h.Stream = func(grpc.ServerStream) error { panic(errors.New("secret insides")) }
	_, unary := h.Call(h.as(t), conn, rpctest.Everyone, h.New())
	stream := openWatch(h.as(t), t, h, conn).RecvMsg(h.New().Message)
	for _, err := range []error{unary, stream} {
		wantCode(t, err, codes.Internal, errs.ReasonInternal)
		if status.Convert(err).Message() != "internal error" || detail[errdetails.RequestInfo](err).GetRequestId() == "" {
			t.Errorf("got %v", err)
		}
	}
	if log := h.log.String(); strings.Count(log, "secret insides") != 2 || !strings.Contains(log, "parity_test.go") || !strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("log: %s", log)
	}
}

func parityDeadlines(t *visit) {
	h, conn := t.harness, t.conn
	if _, err := h.Call(h.as(t), conn, rpctest.Everyone, h.New()); err != nil {
		t.Fatal(err) // connecting, which may outlast the deadline below, is done with
	}
	ended := make(chan error, 1)
	h.Unary = func(ctx context.Context, _ *rpctest.Echo) (*rpctest.Echo, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, errors.New("the database was interrupted")
	}
	ctx, cancel := context.WithTimeout(h.as(t), 50*time.Millisecond)
	defer cancel()
	_, err := h.Call(ctx, conn, rpctest.Everyone, h.New())
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) { // the network may tell of the end first
		t.Errorf("the handler's context: %v", err)
	}
	if _, err := h.Call(ctx, conn, rpctest.Everyone, h.New()); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a call after its deadline: %v", err)
	}
	var left time.Duration
	h.Unary = func(ctx context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		left, _ = testenv.TimeLeft(ctx)
		return req, nil
	}
	md, _ := metadata.FromOutgoingContext(h.as(t))
	if _, err := h.Call(metadata.NewOutgoingContext(t.Context(), md), conn, rpctest.Everyone, h.New()); err != nil {
		t.Fatal(err)
	}
	if left < 5*time.Second || left > 10*time.Second {
		t.Errorf("a call without deadline got %s", left)
	}
}

func parityCancellation(t *visit) {
	h, conn := t.harness, t.conn
	begun, ended := make(chan struct{}), make(chan error, 1)
	h.Unary = func(ctx context.Context, _ *rpctest.Echo) (*rpctest.Echo, error) {
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithCancel(h.as(t))
	go func() { <-begun; cancel() }()
	_, err := h.Call(ctx, conn, rpctest.Everyone, h.New())
	if status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the handler's context: %v", err)
	}
	if _, err := h.Call(ctx, conn, rpctest.Everyone, h.New()); status.Code(err) != codes.Canceled {
		t.Errorf("a call after its end: %v", err)
	}
	if _, err := h.Open(ctx, conn, rpctest.Watch); status.Code(err) != codes.Canceled {
		t.Errorf("a stream after its end: %v", err)
	}
}

func parityLargeMessages(t *visit) {
	h, conn := t.harness, t.conn
	fits, large := h.With("me", ""), h.With("me", "")
	fits.SetBlob(make([]byte, maxRecv-1000))
	large.SetBlob(make([]byte, maxRecv))
	if _, err := h.Call(h.as(t), conn, rpctest.Own, fits); err != nil {
		t.Errorf("a message under the limit: %v", err)
	}
	if _, err := h.Call(h.as(t), conn, rpctest.Own, large); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("unary: %v", err)
	}
	cs, err := h.Open(h.as(t), conn, rpctest.Watch)
	if err != nil || cs.SendMsg(large.Message) != nil {
		t.Fatal(err)
	}
	if err := cs.RecvMsg(h.New().Message); status.Code(err) != codes.ResourceExhausted { // over the network gRPC answers by itself, without details
		t.Errorf("stream: %v", err)
	}
}

func parityLargeAnswers(t *visit) {
	h, conn := t.harness, t.conn
	large := h.New()
	large.SetBlob(make([]byte, rpc.MaxAnswer))
	h.Unary = func(context.Context, *rpctest.Echo) (*rpctest.Echo, error) { return large, nil }
	h.Stream = func(ss grpc.ServerStream) error { return ss.SendMsg(large.Message) }
	if _, err := h.Call(h.as(t), conn, rpctest.Everyone, h.New()); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("unary: %v", err)
	}
	cs, err := h.Open(h.as(t, auth.RoleAdmin), conn, rpctest.Watch)
	if err != nil {
		t.Fatal(err)
	}
	if err := cs.RecvMsg(h.New().Message); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("stream: %v", err)
	}
}

func parityUnknownMethods(t *visit) {
	h, conn := t.harness, t.conn
	for _, method := range []string{"/preceptor.test.v1.EchoService/Absent", "/preceptor.absent.v1.Service/Absent"} {
		if _, err := h.Call(h.as(t), conn, method, h.New()); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func parityNoSharing(t *visit) {
	h, conn := t.harness, t.conn
	var kept *rpctest.Echo
	h.Unary = func(_ context.Context, req *rpctest.Echo) (*rpctest.Echo, error) {
		req.SetText("text", "changed by the handler")
		kept = req
		return req, nil
	}
	req := h.With("me", "as sent")
	got, err := h.Call(h.as(t), conn, rpctest.Own, req)
	if err != nil {
		t.Fatal(err)
	}
	got.SetText("text", "changed by the client")
	if req.Text("text") != "as sent" || req.Text("learner_id") != "me" || kept.Text("text") != "changed by the handler" {
		t.Errorf("request %v, kept %v", req, kept)
	}
}

// openWatch opens a server stream and sends its one request.
func openWatch(ctx context.Context, tb testing.TB, h *harness, conn grpc.ClientConnInterface) grpc.ClientStream {
	tb.Helper()
	cs, err := h.Open(ctx, conn, rpctest.Watch)
	if err != nil {
		tb.Fatal(err)
	}
	if err := cs.SendMsg(h.With("me", "hello").Message); err != nil && !errors.Is(err, io.EOF) {
		tb.Fatal(err)
	}
	if err := cs.CloseSend(); err != nil {
		tb.Fatal(err)
	}
	return cs
}

func parityStream(t *visit) {
	h, conn := t.harness, t.conn
	var deadline atomic.Bool
	h.Stream = func(ss grpc.ServerStream) error {
		_, has := ss.Context().Deadline()
		deadline.Store(has)
		req := h.New()
		if err := ss.RecvMsg(req.Message); err != nil {
			return err
		}
		for i := range 3 {
			req.SetText("text", fmt.Sprint(req.Text("learner_id"), i)) // the message is the handler's again after each send
			if err := ss.SendMsg(req.Message); err != nil {
				return err
			}
			req.SetText("text", "")
		}
		ss.SetTrailer(metadata.Pairs("count", "3"))
		return nil
	}
	cs := openWatch(h.as(t), t, h, conn)
	for i := range 3 {
		got := h.New()
		if err := cs.RecvMsg(got.Message); err != nil {
			t.Fatal(err)
		}
		if got.Text("text") != fmt.Sprint(adaID, i) {
			t.Errorf("message %d: %v", i, got)
		}
	}
	if err := cs.RecvMsg(h.New().Message); !errors.Is(err, io.EOF) || !slices.Equal(cs.Trailer().Get("count"), []string{"3"}) {
		t.Errorf("end: %v %v", err, cs.Trailer())
	}
	if !deadline.Load() {
		t.Error("a stream has the deadline of its token")
	}
}

func parityStreamHeader(t *visit) {
	h, conn := t.harness, t.conn
	release := make(chan struct{})
	for name, open := range map[string]func(grpc.ServerStream) error{
		"an empty header":    func(ss grpc.ServerStream) error { return ss.SendHeader(nil) },
		"one by the context": func(ss grpc.ServerStream) error { return grpc.SendHeader(ss.Context(), metadata.MD{}) },
		"one set before": func(ss grpc.ServerStream) error {
			return errors.Join(ss.SetHeader(metadata.Pairs("k", "v")), ss.SendHeader(nil))
		},
		"the first message":      func(ss grpc.ServerStream) error { return ss.SendMsg(h.With("", "first").Message) },
		"a header and a message": func(ss grpc.ServerStream) error { return errors.Join(ss.SendHeader(nil), ss.SendMsg(h.New().Message)) },
	} {
		h.Stream = func(ss grpc.ServerStream) error {
			if err := ss.RecvMsg(h.New().Message); err != nil {
				return err
			}
			if err := open(ss); err != nil {
				return err
			}
			if ss.SetHeader(metadata.Pairs("late", "1")) == nil {
				return errors.New("a header could be set after it was sent")
			}
			<-release
			return nil
		}
		cs := openWatch(h.as(t), t, h, conn)
		md, err := cs.Header() // while the handler waits
		if err != nil || md == nil || md.Get("late") != nil {
			t.Errorf("%s: %v %v", name, md, err)
		}
		if name == "one set before" && !slices.Equal(md.Get("k"), []string{"v"}) {
			t.Errorf("%s: %v", name, md)
		}
		if strings.Contains(name, "message") {
			if err := cs.RecvMsg(h.New().Message); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		release <- struct{}{}
		if err := cs.RecvMsg(h.New().Message); !errors.Is(err, io.EOF) {
			t.Errorf("%s: end: %v", name, err)
		}
	}
}

func parityStreamEarlyError(t *visit) {
	h, conn := t.harness, t.conn
	h.Stream = func(ss grpc.ServerStream) error {
		ss.SetTrailer(metadata.Pairs("k", "v"))
		return errs.New(errs.NotFound, "NO_SUCH", "none")
	}
	cs := openWatch(h.as(t), t, h, conn)
	md, err := cs.Header()
	if err != nil || len(md) != 0 {
		t.Errorf("header %v %v", md, err)
	}
	for range 2 { // the answer stays
		wantCode(t, cs.RecvMsg(h.New().Message), codes.NotFound, "NO_SUCH")
	}
	if !slices.Equal(cs.Trailer().Get("k"), []string{"v"}) {
		t.Errorf("trailer %v", cs.Trailer())
	}
	cs = openWatch(t.Context(), t, h, conn)
	wantCode(t, cs.RecvMsg(h.New().Message), codes.Unauthenticated, errs.ReasonTokenMissing)

	// Generated clients take a failed send for the answer: one that comes after the end must
	// leave the answer to RecvMsg.
	cs, err = h.Open(t.Context(), conn, rpctest.Watch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cs.Header(); err != nil {
		t.Errorf("header of a refused stream: %v", err)
	}
	if err := cs.SendMsg(h.With("me", "hello").Message); err != nil {
		t.Errorf("sending on a stream that was refused: %v", err)
	}
	wantCode(t, cs.RecvMsg(h.New().Message), codes.Unauthenticated, errs.ReasonTokenMissing)
}

func parityStreamLateError(t *visit) {
	h, conn := t.harness, t.conn
	h.Stream = func(ss grpc.ServerStream) error {
		if err := errors.Join(ss.RecvMsg(h.New().Message), ss.SetHeader(metadata.Pairs("k", "v")), ss.SendMsg(h.New().Message)); err != nil {
			return err
		}
		return errs.New(errs.Unavailable, "MOVED", "elsewhere")
	}
	cs := openWatch(h.as(t), t, h, conn)
	if err := cs.RecvMsg(h.New().Message); err != nil {
		t.Fatal(err)
	}
	wantCode(t, cs.RecvMsg(h.New().Message), codes.Unavailable, "MOVED")
	if md, err := cs.Header(); err != nil || !slices.Equal(md.Get("k"), []string{"v"}) {
		t.Errorf("header %v %v", md, err)
	}
}

func parityStreamCancelled(t *visit) {
	h, conn := t.harness, t.conn
	ended := make(chan error, 1)
	h.Stream = func(ss grpc.ServerStream) error {
		if err := errors.Join(ss.RecvMsg(h.New().Message), ss.SendMsg(h.New().Message)); err != nil {
			return err
		}
		<-ss.Context().Done()
		ended <- errors.Join(ss.Context().Err(), ss.SendMsg(h.New().Message))
		return ss.Context().Err()
	}
	ctx, cancel := context.WithCancel(h.as(t))
	cs := openWatch(ctx, t, h, conn)
	if err := cs.RecvMsg(h.New().Message); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := cs.RecvMsg(h.New().Message); status.Code(err) != codes.Canceled {
		t.Errorf("the client: %v", err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the handler: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the handler was not told")
	}
}

func parityUploadRefused(t *visit) {
	h, conn := t.harness, t.conn
	h.Stream = func(grpc.ServerStream) error { return errs.New(errs.ResourceExhausted, "FULL", "come back") }
	cs, err := h.Open(h.as(t), conn, rpctest.Upload)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil { // until the refusal arrives
		err = cs.SendMsg(h.With("me", "part").Message)
		runtime.Gosched()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("sending: %v", err)
	}
	wantCode(t, cs.RecvMsg(h.New().Message), codes.ResourceExhausted, "FULL")
}

func parityChat(t *visit) {
	h, conn := t.harness, t.conn
	h.Stream = func(ss grpc.ServerStream) error {
		for {
			req := h.New()
			if err := ss.RecvMsg(req.Message); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := ss.SendMsg(req.Message); err != nil {
				return err
			}
		}
	}
	cs, err := h.Open(h.as(t), conn, rpctest.Chat)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		sent, got := h.With("", fmt.Sprint(i)), h.New()
		if err := cs.SendMsg(sent.Message); err != nil {
			t.Fatal(err)
		}
		sent.SetText("text", "mine again")
		if err := cs.RecvMsg(got.Message); err != nil || got.Text("text") != fmt.Sprint(i) {
			t.Errorf("%d: %v %v", i, got, err)
		}
	}
	if err := cs.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := cs.RecvMsg(h.New().Message); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
}
