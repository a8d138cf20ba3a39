package gateway

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/preceptor-dev/preceptor/gateway/stream"
	"github.com/preceptor-dev/preceptor/gateway/wire"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// watch serves progress:watch as server-sent events, or as lines of JSON to a client that takes
// nothing else.
func (g *Gateway) watch(w http.ResponseWriter, r *http.Request) {
	switch ticket, ok := ticketOf(r); {
	case ok && exchangeOf(r).head: // it would use the ticket up
		g.fail(w, r, methodError{[]string{http.MethodGet}})
		return
	case ok && ticket == "":
		g.fail(w, r, badTicket())
		return
	}
	req, err := readWatch(r)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	form := stream.Form{Endless: true, Lines: wantsLines(r), HeaderOnly: exchangeOf(r).head, Event: watchEvent}
	serveStream[progressv1.WatchProgressResponse](g, w, r, form, req)
}

// serveStream calls the route's RPC of progress on behalf of a request, and writes what it sends. What fails
// before the stream is open is an ordinary error response.
func serveStream[T any, M rpc.Received[T]](g *Gateway, w http.ResponseWriter, r *http.Request, form stream.Form, req proto.Message) {
	x := exchangeOf(r)
	ctx, release := g.outgoing(r.Context(), r)
	// Nothing that follows may hold the request or its response: it would keep their buffers, too.
	conn, method := g.config.Conns[progressService], x.route.rpc
	x.header, x.control, x.params = nil, nil, nil
	form.Timeout = x.timeout
	form.Problem = func(err error) []byte { return g.fault(ctx, x, err).problem(x.path, x.id).encode() }
	form.Ended = func(written int64, slow bool) {
		release()
		x.outcome.bytes += written
		x.outcome.late = x.outcome.late || slow
		g.ended(ctx, x)
	}
	var err error
	x.goesOn, err = g.streams.Serve(ctx, w, r, form, func(ctx context.Context, open func(), each func(proto.Message) error) (err error) {
		defer func() {
			if cause := recover(); cause != nil {
				g.logPanic(ctx, x, cause)
				err = errPanic
			}
		}()
		return rpc.Receive(ctx, conn, method, req, open, func(m M) error { return each(m) })
	})
	if err != nil {
		release()
		g.fail(w, r, err)
	}
}

// watchEvent names a message's event. An entry has no name, so that a browser's onmessage gets it.
func watchEvent(message proto.Message) (name, id string) {
	m, _ := message.(*progressv1.WatchProgressResponse)
	if m.GetKind() == progressv1.WatchProgressResponse_RESET {
		name = "reset"
	}
	return name, strconv.FormatInt(m.GetSequence(), 10)
}

// readWatch reads where to begin. Last-Event-ID overrides the query. One that is not a sequence
// is left to the service, which gets the header too: it resets the reader, and reports from where
// the stream goes on.
func readWatch(r *http.Request) (*progressv1.WatchProgressRequest, error) {
	x := exchangeOf(r)
	req := &progressv1.WatchProgressRequest{}
	if last := r.Header.Get("Last-Event-ID"); last == "" {
		if err := x.query.populate(req); err != nil {
			return nil, err
		}
	} else if sequence, err := strconv.ParseInt(last, 10, 64); err == nil && sequence >= 0 {
		req.AfterSequence = new(sequence)
	}
	req.LearnerId, req.Ticket = x.params["learner_id"], "" // a ticket is metadata; see ticketOf
	return req, nil
}

// maxTicket is more than any ticket has, in bytes.
const maxTicket = 64

// ticketOf returns the ticket of a request, and whether it has one. Only a watch takes tickets. Whatever
// is no ticket is "", and so refused as one.
func ticketOf(r *http.Request) (ticket string, ok bool) {
	route := exchangeOf(r).route
	if route == nil || route.rpc != progressv1.ProgressService_WatchProgress_FullMethodName || !strings.Contains(r.URL.RawQuery, "ticket") {
		return "", false
	}
	values, ok := r.URL.Query()["ticket"]
	if len(values) != 1 || len(values[0]) > maxTicket || strings.ContainsFunc(values[0], func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", ok
	}
	return values[0], ok
}

// badTicket is the error of a ticket that could never be one.
func badTicket() error {
	return errs.New(errs.Unauthenticated, errs.ReasonTicketInvalid, "the ticket is not one; get a new one")
}

// wantsLines reports whether a client takes JSON and no server-sent events.
func wantsLines(r *http.Request) bool {
	accept := r.Header.Values("Accept")
	isEvents := func(media string) bool { return media == stream.ContentType || media == "text/*" || media == "*/*" }
	isLines := func(media string) bool { return media == wire.ContentType || media == stream.ContentLines }
	return quality(accept, isLines) > 0 && quality(accept, isEvents) == 0
}
