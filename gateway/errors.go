package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"

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
	g.fail(w, r, noRoute(r, notFound{}))
}

// fail writes the error as a problem document.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	if not, ok := errors.AsType[methodError](err); ok {
		w.Header().Set("Allow", strings.Join(not.allow, ", "))
		err = errs.New(errs.Unimplemented, errs.ReasonMethodNotAllowed, "%s", not.Error())
	}
	switch errs.ReasonOf(err) {
	case errs.ReasonUnsupportedMediaType:
		w.Header().Set("Accept", strings.Join(exchangeOf(r).route.mediaTypes(), ", "))
	case errs.ReasonUnsupportedEncoding:
		w.Header().Set("Accept-Encoding", encodingGzip)
	}
	x := exchangeOf(r)
	f := g.fault(r.Context(), x, err)
	f.problem(r.URL.Path, x.id).write(w)
}

// fault classifies an error. A request that the generated handlers could not read
// comes as a status without a reason: its body is read again, to name the fields.
func (g *Gateway) fault(ctx context.Context, x *exchange, err error) fault {
	f := faultOf(err)
	if f.code == codes.InvalidArgument && f.reason == "" {
		if x.route != nil {
			if bad := x.unreadableBody(); bad.Len() > 0 {
				return faultOfOwn(errs.InvalidList(bad))
			}
		}
		f.reason = "INVALID_ARGUMENT"
		f.detail = "the request cannot be read: " + wire.PlainText(f.detail)
	}
	x.outcome.stopping = f.reason == errs.ReasonShuttingDown
	own := f.code == codes.DeadlineExceeded && g.overOwnTimeout(x)
	if status := f.httpStatus(); status >= http.StatusInternalServerError && f.reason == "" && !own {
		// The service has not logged it, or was never reached.
		g.logger.LogAttrs(ctx, slog.LevelError, "call failed", slog.Any("error", err), slog.String("request_id", x.id))
	}
	return f
}
