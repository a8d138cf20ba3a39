package gateway

import (
	"net/http"

	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/gateway/stream"
	"github.com/preceptor-dev/preceptor/gateway/wire"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// verifyProgress serves progress:verify.
func (g *Gateway) verifyProgress(w http.ResponseWriter, r *http.Request) {
	req := &progressv1.VerifyProgressRequest{}
	if err := readOptional(r, req); err != nil {
		g.fail(w, r, err)
		return
	}
	serveStream[progressv1.VerifyProgressResponse](g, w, r, stream.Form{Lines: true}, req)
}

// rebuildProgress serves progress:rebuild.
func (g *Gateway) rebuildProgress(w http.ResponseWriter, r *http.Request) {
	req := &progressv1.RebuildProgressRequest{}
	if err := readOptional(r, req); err != nil {
		g.fail(w, r, err)
		return
	}
	serveStream[progressv1.RebuildProgressResponse](g, w, r, stream.Form{Lines: true}, req)
}

// readOptional reads the body as the request; no body is an empty one.
func readOptional(r *http.Request, req proto.Message) error {
	x := exchangeOf(r)
	if len(x.body) == 0 {
		return nil
	}
	if err := wire.Unmarshal(x.body, req); err != nil {
		return errs.InvalidList(wire.Diagnose(x.body, x.route.input))
	}
	return nil
}
