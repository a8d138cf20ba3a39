package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/logs"
)

// outcome is what became of a request.
type outcome struct {
	status int
	bytes  int64 // of the response's body
	late   bool  // the client did not read the response in time
	// stopping is whether the request was refused because a server is stopping.
	stopping bool
}

// counted is the status that metrics count: none where a server that is stopping refused the request, which
// its client sends again at once. Every rollout does that, and it must not look like an outage.
func (o outcome) counted() int {
	if o.stopping && o.status == http.StatusServiceUnavailable {
		return 0
	}
	return o.status
}

// recorder records the outcome of a request, for the log.
type recorder struct {
	http.ResponseWriter

	exchange *exchange
	wrote    bool
	complete bool // a whole response was written in spite of a panic

	deadlines deadlines
}

func (g *Gateway) newRecorder(w http.ResponseWriter, x *exchange) *recorder {
	limits := deadlines{control: http.NewResponseController(w), base: g.config.SlowReader, late: &x.outcome.late}
	return &recorder{ResponseWriter: w, exchange: x, deadlines: limits}
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader records the status.
func (r *recorder) WriteHeader(status int) {
	if status >= http.StatusOK && !r.wrote {
		r.begin(status)
		if status == http.StatusNoContent || status == http.StatusNotModified || r.exchange.head {
			r.deadlines.until(machineTime(r.deadlines.base)) // nothing else is written
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (r *recorder) Write(b []byte) (int, error) {
	if !r.wrote {
		r.begin(http.StatusOK)
	}
	if r.exchange.head { // which has no body
		return len(b), nil
	}
	n, err := r.deadlines.write(r.ResponseWriter, b)
	r.exchange.outcome.bytes += int64(n)
	return n, err
}

func (r *recorder) begin(status int) {
	r.exchange.outcome.status, r.wrote = status, true
	if answered := r.exchange.answered; answered != nil {
		r.exchange.answered = nil
		answered(status)
	}
}

// These bound a log line, which anybody can cause. The query, which may hold secrets, is not logged.
const (
	maxLoggedPath   = 256
	maxLoggedMethod = 16
	maxLoggedError  = 256
)

// ended records the end of a request: in the log, its span and the metrics.
func (g *Gateway) ended(ctx context.Context, x *exchange) {
	g.logAccess(ctx, x)
	x.endTrace()
	if g.config.Observe != nil {
		g.observe(x)
	}
}

// unlessStream returns how long the request took, or -1 for a stream, of which that says nothing.
func (x *exchange) unlessStream(took time.Duration) time.Duration {
	if x.route != nil && streamed(x.route.rpc) {
		return -1
	}
	return took
}

// logAccess logs one request.
func (g *Gateway) logAccess(ctx context.Context, x *exchange) {
	level := slog.LevelInfo
	switch status := x.outcome.status; {
	case x.path == "/healthz" || x.path == "/readyz" || x.flood:
		level = slog.LevelDebug
	case g.timedOutAsAsked(x):
	case status >= http.StatusInternalServerError:
		level = slog.LevelWarn
	}
	if x.outcome.late {
		g.slowReaders.Add(1)
	}
	if !g.logger.Enabled(ctx, level) {
		return
	}
	took := g.config.Now().Sub(x.begun)
	attrs := make([]slog.Attr, 0, 14)
	if level == slog.LevelInfo && x.outcome.status < http.StatusBadRequest && !x.outcome.late {
		drawn, keep := g.config.Sample.Keep(x.unlessStream(took))
		if !keep {
			return
		}
		attrs = append(attrs, drawn...)
	}
	if level > slog.LevelDebug && x.refused != nil {
		skipped, ok := g.refusals.Next()
		if !ok {
			return
		}
		if skipped > 0 {
			attrs = append(attrs, slog.Int64("refusals_not_logged", skipped))
		}
	}
	attrs = append(attrs,
		slog.String("method", x.method[:min(len(x.method), maxLoggedMethod)]), slog.String("path", x.path[:min(len(x.path), maxLoggedPath)]))
	if x.route != nil {
		attrs = append(attrs, slog.String("route", x.route.template))
	}
	attrs = append(attrs,
		slog.Int("status", x.outcome.status), slog.Int64("bytes", x.outcome.bytes),
		logs.Duration(took), slog.String("request_id", x.id))
	if caller := g.config.Callers.Name(x.principal); caller != "" {
		attrs = append(attrs, slog.String("caller", caller))
	}
	if x.outcome.late {
		attrs = append(attrs, slog.Bool("slow_reader", true))
	}
	if x.refused != nil {
		// What is wrong with a token, never the token; but a part of it may be quoted.
		text := x.refused.Error()
		attrs = append(attrs, slog.String("reason", errs.ReasonOf(x.refused)), slog.String("error", text[:min(len(text), maxLoggedError)]),
			slog.String("address", x.address))
	}
	g.logger.LogAttrs(ctx, level, "request", attrs...)
}
