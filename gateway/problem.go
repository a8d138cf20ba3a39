package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

const contentProblem = "application/problem+json"

// problem is a problem document (RFC 9457) with members of its own.
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

// fault is a classified error, of a service or of the gateway itself.
type fault struct {
	code       codes.Code
	reason     string
	detail     string
	violations []violation
	retryAfter time.Duration
}

// faultOf classifies an error: an errs.Error or a gRPC status.
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
	for _, v := range e.Violations[:min(len(e.Violations), errs.MaxViolations)] {
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
	switch { // gRPC's own errors have no reason
	case f.reason == "" && f.code == codes.ResourceExhausted:
		f.reason = errs.ReasonMessageTooLarge // messages are the only resource that gRPC limits
	case f.reason == "" && f.code == codes.Unavailable:
		f.reason = errs.ReasonUpstreamUnavailable
	}
	return f
}

// generalDetail returns the detail of faults whose own message may expose internals:
// those that no service classified, and all internal ones.
func generalDetail(f fault) (string, bool) {
	classified := f.reason != ""
	switch f.code {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return "an internal error; the server's log has it under the requestId", true
	case codes.Unavailable:
		return "a service that this request needs cannot be reached; try again", !classified
	case codes.DeadlineExceeded:
		return "the request took longer than allowed; try again", !classified
	case codes.ResourceExhausted:
		return "the request, or its response, is larger than allowed", !classified
	case codes.Canceled:
		return "the request was canceled", !classified
	case codes.Unimplemented:
		return "this server does not implement what the request asks for", !classified
	default:
		return "", false
	}
}

// httpStatus returns the status of the reason, or, of one that the table does not have, of the code.
func (f fault) httpStatus() int {
	return cmp.Or(errs.StatusOf(f.reason), runtime.HTTPStatusFromCode(f.code))
}

// problem returns the problem document for one request.
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

// title returns the title of a reason: "Etag mismatch" for ETAG_MISMATCH.
func title(reason string) string {
	words := strings.ReplaceAll(strings.ToLower(reason), "_", " ")
	return strings.ToUpper(words[:min(len(words), 1)]) + words[min(len(words), 1):]
}

// encode returns the problem as JSON.
func (p problem) encode() []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil { // strings and numbers only: cannot happen
		return nil
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

// write writes the problem as the response.
func (p problem) write(w http.ResponseWriter) {
	h := w.Header()
	for _, name := range []string{"Content-Disposition", "Content-Length", "Etag", "Location", "Trailer", "Transfer-Encoding"} {
		h.Del(name) // of the response that this one replaces
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
	_, _ = w.Write(body) //nolint:gosec // declared as JSON, with nosniff; the client may have gone
}

// challenge returns the challenge of RFC 6750, which names an error only if there was a token.
func challenge(reason string) string {
	if reason == errs.ReasonTokenExpired || reason == errs.ReasonTokenInvalid {
		return `Bearer error="invalid_token"`
	}
	return "Bearer"
}
