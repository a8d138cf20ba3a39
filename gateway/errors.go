package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// muxError writes an error that the mux reports.
func (g *Gateway) muxError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	if routing, ok := errors.AsType[*runtime.HTTPStatusError](err); ok { // an invalid escape in the path
		err = errs.Wrap(routing.Err, errs.Invalid, errs.ReasonInvalidArgument, "the path is not properly escaped")
	}
	g.fail(w, r, err)
}

// muxRoutingError cannot happen while the table of routes and the mux agree,
// which a test checks.
func (g *Gateway) muxRoutingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, _ int) {
	g.fail(w, r, noRoute(r, nil))
}

// fail writes the error as a problem document.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	if not, ok := errors.AsType[methodError](err); ok {
		w.Header().Set("Allow", strings.Join(not.allow, ", "))
		err = errs.New(errs.Unimplemented, errs.ReasonMethodNotAllowed, "%s", not.Error())
	}
	f := g.fault(r, err)
	f.problem(r.URL.Path, exchangeOf(r).id).write(w)
}

// fault classifies an error. A request that the generated handlers could not read
// comes as a status without a reason: it is read again, to name the fields.
func (g *Gateway) fault(r *http.Request, err error) fault {
	f := faultOf(err)
	if f.code == codes.InvalidArgument && f.reason == "" {
		violations := unreadable(r)
		if len(violations) > 0 {
			return faultOfOwn(errs.InvalidFields(violations))
		}
		f.reason = "INVALID_ARGUMENT"
		f.detail = "the request cannot be read: " + wire.PlainText(f.detail)
	}
	if status := f.httpStatus(); status >= http.StatusInternalServerError && f.reason == "" {
		// The service has not logged it, or was never reached.
		g.logger.LogAttrs(r.Context(), slog.LevelError, "call failed", slog.Any("error", err), slog.String("request_id", exchangeOf(r).id))
	}
	return f
}

// unreadable returns what in the path, the query and the body cannot be read.
func unreadable(r *http.Request) []errs.Violation {
	x := exchangeOf(r)
	if x.route == nil {
		return nil
	}
	found := badParameters(x, r)
	if md := x.route.bodyType(); md != nil && len(x.body) > 0 {
		found = append(found, wire.Diagnose(x.body, md)...)
	}
	return found
}

// badParameters reads each parameter by itself, to name those that cannot be read.
func badParameters(x *exchange, r *http.Request) []errs.Violation {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(x.route.input.FullName())
	if err != nil {
		return nil
	}
	var found []errs.Violation
	for name, value := range x.params {
		if runtime.PopulateFieldFromPath(kind.New().Interface(), name, value) != nil {
			fd := wire.FieldByName(x.route.input, name)
			found = append(found, errs.Violation{Field: fd.JSONName(), Reason: errs.ReasonInvalidType, Description: wire.Expected(fd)})
		}
	}
	seen := map[string]bool{}
	for name, values := range r.URL.Query() {
		fd := wire.FieldByName(x.route.input, name)
		if fd == nil {
			continue // not a field: unknown parameters are ignored
		}
		v := errs.Violation{Field: fd.JSONName(), Reason: errs.ReasonInvalidType, Description: wire.Expected(fd)}
		switch {
		case seen[v.Field] || len(values) > 1 && !fd.IsList():
			v.Reason, v.Description = errs.ReasonDuplicateField, "is given more than once"
		case runtime.PopulateQueryParameters(kind.New().Interface(), map[string][]string{name: values}, utilities.NewDoubleArray(nil)) == nil:
			seen[v.Field] = true
			continue
		}
		seen[v.Field] = true
		found = append(found, v)
	}
	return found
}
