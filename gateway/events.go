package gateway

import (
	"net/http"

	"google.golang.org/grpc"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/preceptor-dev/preceptor/gateway/wire"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// recordEvents serves events:batch. The body is read element by element, so that
// one event that cannot be read does not fail the others.
func (g *Gateway) recordEvents(w http.ResponseWriter, r *http.Request) {
	x := exchangeOf(r)
	batch, err := wire.ReadBatch(x.body)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	ctx, cancel := g.outgoing(r.Context(), r)
	defer cancel()
	// Called even when no event is left: the service decides who may record at all.
	req := &progressv1.BatchRecordEventsRequest{
		LearnerId: x.params["learner_id"], Events: batch.Events, SentAt: batch.SentAt, Include: batch.Include,
	}
	var md runtime.ServerMetadata
	resp, err := g.progress.BatchRecordEvents(ctx, req, grpc.Header(&md.HeaderMD))
	if err == nil {
		err = batch.Merge(resp)
	}
	if err != nil {
		g.fail(w, r, err)
		return
	}
	g.respond(w, r, md.HeaderMD, resp)
}
