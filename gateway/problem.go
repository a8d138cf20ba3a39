package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

const contentProblem = "application/problem+json"

// Reasons that decide the HTTP status, where gRPC's code is too coarse.
const (
	reasonEtagMismatch     = "ETAG_MISMATCH"
	reasonKeyReused        = "IDEMPOTENCY_KEY_REUSED"
	reasonBodyTooLarge     = "BODY_TOO_LARGE"
	reasonMessageTooLarge  = "MESSAGE_TOO_LARGE"
	reasonUpstream         = "UPSTREAM_UNAVAILABLE"
	reasonRateLimited      = "RATE_LIMITED"
	reasonMethodNotAllowed = "METHOD_NOT_ALLOWED"
	reasonNoRoute          = "ROUTE_NOT_FOUND"
)

// problem is an error as RFC 9457 has it, with our members.
type problem struct {
	Type       string      `json:"type"`
	Title      string      `json:"title"`
	Status     int         `json:"status"`
	Detail     string      `json:"detail,omitempty"`
	Instance   string      `json:"instance,omitempty"`
	Code       string      `json:"code"`
	Reason     string      `json:"reason"`
	Violations []violation `json:"violations,omitempty"`
	RequestID  string      `json:"requestId"`

	retryAfter time.Duration
}

// violation is one fault of one field.
type violation struct {
	Field       string `json:"field"`
	Description string `json:"description"`
	Reason      string `json:"reason,omitempty"`
}

// fault is what a problem is made of, whether the error came from a service or
// was found at the edge.
type fault struct {
	code       codes.Code
	reason     string
	detail     string
	violations []violation
	retryAfter time.Duration
}

// faultOf reads an error: one of ours, or a gRPC status.
func faultOf(err error) fault {
	if own, ok := errors.AsType[*errs.Error](err); ok {
		return faultOfOwn(own)
	}
	var st *status.Status
	if carrier, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok {
		st = carrier.GRPCStatus()
	} else {
		st = status.FromContextError(err)
	}
	return faultOfStatus(st)
}

func faultOfOwn(e *errs.Error) fault {
	f := fault{code: rpc.CodeOf(e.Kind), reason: e.Reason, detail: e.Message, retryAfter: e.RetryAfter}
	for _, v := range e.Violations {
		f.violations = append(f.violations, violation{Field: v.Field, Description: v.Description, Reason: v.Reason})
	}
	if general, ours := generalDetail(f); ours {
		f.detail = general
	}
	return f
}

func faultOfStatus(st *status.Status) fault {
	f := fault{code: st.Code(), detail: st.Message()}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			f.reason = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				f.violations = append(f.violations, violation{Field: v.GetField(), Description: v.GetDescription(), Reason: v.GetReason()})
			}
		case *errdetails.RetryInfo:
			f.retryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	if general, ours := generalDetail(f); ours {
		f.detail = general
	}
	switch { // gRPC's own faults have no reason
	case f.reason == "" && f.code == codes.ResourceExhausted:
		f.reason = reasonMessageTooLarge // it knows no other resource
	case f.reason == "" && f.code == codes.Unavailable:
		f.reason = reasonUpstream
	}
	return f
}

// generalDetail is what is said of faults whose own words may tell our insides:
// those that no service classified, and all internal ones.
func generalDetail(f fault) (string, bool) {
	classified := f.reason != ""
	switch f.code {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return "something went wrong on our side; the request's id finds it in our logs", true
	case codes.Unavailable:
		return "a service that this request needs cannot be reached; try again", !classified
	case codes.DeadlineExceeded:
		return "the request took longer than it may; try again", !classified
	case codes.ResourceExhausted:
		return "the request, or its answer, is larger than allowed", !classified
	case codes.Canceled:
		return "the request was given up before it was answered", !classified
	case codes.Unimplemented:
		return "this server does not have what the request asks for", !classified
	default:
		return "", false
	}
}

// httpStatus follows the reason first and the code then.
func (f fault) httpStatus() int {
	switch f.reason {
	case reasonEtagMismatch:
		return http.StatusPreconditionFailed
	case reasonKeyReused:
		return http.StatusUnprocessableEntity
	case reasonBodyTooLarge, reasonMessageTooLarge:
		return http.StatusRequestEntityTooLarge
	case reasonRateLimited:
		return http.StatusTooManyRequests
	case reasonMethodNotAllowed:
		return http.StatusMethodNotAllowed
	}
	return runtime.HTTPStatusFromCode(f.code)
}

// problem words the fault for one request.
func (f fault) problem(instance, requestID string) problem {
	p := problem{
		Type:       "about:blank",
		Status:     f.httpStatus(),
		Detail:     f.detail,
		Instance:   instance,
		Code:       rpc.CodeName(f.code),
		Reason:     f.reason,
		Violations: f.violations,
		RequestID:  requestID,
		retryAfter: f.retryAfter,
	}
	if p.Reason == "" {
		p.Reason = p.Code
	} else {
		p.Type = "/docs#reason-" + p.Reason
	}
	p.Title = title(p.Reason)
	if p.retryAfter == 0 && (p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable) {
		p.retryAfter = time.Second
	}
	return p
}

// title makes words of a reason: ETAG_MISMATCH is "Etag mismatch".
func title(reason string) string {
	words := strings.ReplaceAll(strings.ToLower(reason), "_", " ")
	return strings.ToUpper(words[:min(len(words), 1)]) + words[min(len(words), 1):]
}

// encode writes the problem as JSON.
func (p problem) encode() []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil { // strings and numbers only: cannot happen
		return nil
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

// write answers with the problem.
func (p problem) write(w http.ResponseWriter) {
	h := w.Header()
	for _, name := range []string{"Content-Disposition", "Content-Length", "Etag", "Location", "Trailer", "Transfer-Encoding"} {
		h.Del(name) // of the answer that this one takes the place of
	}
	h.Set("Content-Type", contentProblem)
	h.Set("Cache-Control", "no-store")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.retryAfter+time.Second-1)/time.Second), 10))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", challenge(p.Reason))
	}
	body := p.encode()
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) //nolint:gosec // JSON, said to be, and not to be sniffed; a client that has gone is not told
}

// challenge is RFC 6750's: it names an error only when there was a token.
func challenge(reason string) string {
	if reason == "TOKEN_EXPIRED" || reason == "TOKEN_INVALID" {
		return `Bearer error="invalid_token"`
	}
	return "Bearer"
}
