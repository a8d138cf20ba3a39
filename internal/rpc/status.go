package rpc

import (
	"context"
	"errors"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// ErrorDomain is the domain of the reasons in our errors' google.rpc.ErrorInfo.
const ErrorDomain = "preceptor.dev"

// errStopping is why an in-process call's context ended at a forced stop.
var errStopping = errors.New("the server is stopping")

// statusOf returns what the caller receives for err: nil is OK, a classified error
// says what it is, a status from one of our own services passes on, and what
// is not classified is an internal error without details.
func statusOf(ctx context.Context, err error, from origin) *status.Status {
	if err == nil {
		return nil
	}
	own, classified := errors.AsType[*errs.Error](err)
	if classified && own.Kind != errs.Internal {
		return newStatus(own, from)
	}
	var foreign *status.Status
	if !classified { // Internal, given to an error from elsewhere, is meant
		foreign = foreignStatus(err)
	}
	if foreign != nil && isOurs(foreign) {
		return renamed(foreign, from.requestID)
	}
	return newStatus(classify(ctx, err, foreign), from)
}

// classify gives a kind to an error that has none, from the call's context and
// from the code of a status not made by us. Its text is never passed on:
// it may hold addresses.
func classify(ctx context.Context, err error, foreign *status.Status) *errs.Error {
	code := foreign.Code() // OK for nil
	_, panicked := errors.AsType[panicError](err)
	switch {
	case panicked:
		return errs.New(errs.Internal, errs.ReasonInternal, "internal error")
	case errors.Is(context.Cause(ctx), errStopping):
		return errs.New(errs.Unavailable, errs.ReasonShuttingDown, "the server is stopping; try again")
	case errors.Is(err, context.DeadlineExceeded), code == codes.DeadlineExceeded, errors.Is(ctx.Err(), context.DeadlineExceeded):
		return errs.New(errs.DeadlineExceeded, errs.ReasonDeadlineExceeded, "the call took longer than its deadline")
	case errors.Is(err, context.Canceled), code == codes.Canceled, ctx.Err() != nil:
		return errs.New(errs.Canceled, errs.ReasonCancelled, "the caller gave up")
	case code == codes.Unavailable:
		return errs.New(errs.Unavailable, errs.ReasonUpstreamUnavailable, "a service that this call needs cannot be reached; try again")
	case code == codes.ResourceExhausted:
		return errs.New(errs.ResourceExhausted, errs.ReasonMessageTooLarge, "a message is larger than allowed")
	case code == codes.Unimplemented:
		return errs.New(errs.Unimplemented, errs.ReasonUnimplemented, "this server does not have that method")
	}
	return errs.New(errs.Internal, errs.ReasonInternal, "internal error")
}

// foreignStatus is the status in err's chain as it was sent; status.FromError
// would put the text around it into its message.
func foreignStatus(err error) *status.Status {
	var carrier interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carrier) {
		return carrier.GRPCStatus()
	}
	return nil
}

// isOurs reports whether one of our servers made the status.
func isOurs(st *status.Status) bool {
	return slices.ContainsFunc(st.Details(), func(d any) bool {
		info, ok := d.(*errdetails.ErrorInfo)
		return ok && info.GetDomain() == ErrorDomain
	})
}

// ReasonOf returns the reason of an error, also of one that a call to one of our services returned; "" where
// there is none.
func ReasonOf(err error) string {
	if reason := errs.ReasonOf(err); reason != "" {
		return reason
	}
	for _, d := range foreignStatus(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == ErrorDomain {
			return info.GetReason()
		}
	}
	return ""
}

// renamed is a status of another of our services, under this request's id.
func renamed(st *status.Status, requestID string) *status.Status {
	details := []protoadapt.MessageV1{&errdetails.RequestInfo{RequestId: requestID}}
	for _, d := range st.Details() {
		if _, old := d.(*errdetails.RequestInfo); old {
			continue
		}
		if message, ok := d.(protoadapt.MessageV1); ok {
			details = append(details, message)
		}
	}
	return withDetails(status.New(st.Code(), st.Message()), details)
}

// origin is the call that an error is of.
type origin struct {
	// method is "/preceptor.progress.v1.ProgressService/GetProgress"; "" where no method was called.
	method, requestID string
}

// metadata is what an ErrorInfo says beside the reason: as REST's "instance", where the error is from.
func (o origin) metadata() map[string]string {
	if o.method == "" {
		return nil
	}
	return map[string]string{"method": strings.TrimPrefix(o.method, "/")}
}

func newStatus(e *errs.Error, from origin) *status.Status {
	grpcCode := CodeOf(e.Kind)
	reason := e.Reason
	if reason == "" {
		reason = CodeName(grpcCode)
	}
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Reason: reason, Domain: ErrorDomain, Metadata: from.metadata()},
		&errdetails.RequestInfo{RequestId: from.requestID},
	}
	if n := len(e.Violations); n > 0 {
		// A status travels in HTTP/2 headers. What InvalidFields made has no more than these.
		details = append(details, badRequest(e.Violations[:min(n, errs.MaxViolations)]))
	}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	return withDetails(status.New(grpcCode, valid(e.Message)), details)
}

func badRequest(violations []errs.Violation) *errdetails.BadRequest {
	out := &errdetails.BadRequest{FieldViolations: make([]*errdetails.BadRequest_FieldViolation, 0, len(violations))}
	for _, v := range violations {
		out.FieldViolations = append(out.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: valid(v.Field), Description: valid(v.Description), Reason: v.Reason,
		})
	}
	return out
}

// withDetails returns the status without details where they cannot be encoded.
func withDetails(st *status.Status, details []protoadapt.MessageV1) *status.Status {
	if full, err := st.WithDetails(details...); err == nil {
		return full
	}
	return st
}

// valid makes text fit for a proto string: it may quote a caller's bytes.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// CodeOf is the gRPC code of a kind of fault.
func CodeOf(kind errs.Kind) codes.Code {
	switch kind {
	case errs.Invalid:
		return codes.InvalidArgument
	case errs.NotFound:
		return codes.NotFound
	case errs.AlreadyExists:
		return codes.AlreadyExists
	case errs.FailedPrecondition:
		return codes.FailedPrecondition
	case errs.Aborted:
		return codes.Aborted
	case errs.PermissionDenied:
		return codes.PermissionDenied
	case errs.Unauthenticated:
		return codes.Unauthenticated
	case errs.ResourceExhausted:
		return codes.ResourceExhausted
	case errs.Unavailable:
		return codes.Unavailable
	case errs.DeadlineExceeded:
		return codes.DeadlineExceeded
	case errs.Canceled:
		return codes.Canceled
	case errs.Unimplemented:
		return codes.Unimplemented
	default:
		return codes.Internal
	}
}

// CodeName spells a code as google.rpc.Code does: NOT_FOUND.
func CodeName(c codes.Code) string {
	if name, ok := code.Code_name[int32(c)]; ok { //nolint:gosec // a code that is too large has no name either as a negative number
		return name
	}
	return code.Code_UNKNOWN.String()
}
