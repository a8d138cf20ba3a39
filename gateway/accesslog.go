package gateway

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// recorder records the status and the size of a response, for the log.
type recorder struct {
	http.ResponseWriter

	exchange *exchange
	status   int
	bytes    int64
	wrote    bool
	complete bool // a whole response was written in spite of a panic

	deadlines deadlines
}

func (g *Gateway) newRecorder(w http.ResponseWriter, x *exchange) *recorder {
	return &recorder{ResponseWriter: w, exchange: x, deadlines: deadlines{control: http.NewResponseController(w), base: g.config.SlowReader}}
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
	r.bytes += int64(n)
	return n, err
}

func (r *recorder) begin(status int) {
	r.status, r.wrote = status, true
	if r.exchange.answered != nil {
		r.exchange.answered(status)
	}
}

// These bound a log line, which anybody can cause. The query, which may hold secrets, is not logged.
const (
	maxLoggedPath   = 256
	maxLoggedMethod = 16
	maxLoggedError  = 256
)

// logAccess logs one request.
func (g *Gateway) logAccess(rec *recorder, r *http.Request, method string, start time.Time) {
	x := exchangeOf(r)
	level := slog.LevelInfo
	switch {
	case r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || x.flood:
		level = slog.LevelDebug
	case rec.status == http.StatusGatewayTimeout && g.overOwnTimeout(x): // as the client asked
	case rec.status >= http.StatusInternalServerError:
		level = slog.LevelWarn
	}
	if rec.deadlines.late {
		g.slowReaders.Add(1)
	}
	if !g.logger.Enabled(r.Context(), level) {
		return
	}
	path := r.URL.Path
	attrs := make([]slog.Attr, 0, 12)
	if level == slog.LevelInfo && x.refused != nil {
		skipped, ok := g.refusals.Next()
		if !ok {
			return
		}
		if skipped > 0 {
			attrs = append(attrs, slog.Int64("refusals_not_logged", skipped))
		}
	}
	attrs = append(attrs, slog.String("method", method[:min(len(method), maxLoggedMethod)]), slog.String("path", path[:min(len(path), maxLoggedPath)]))
	if x.route != nil {
		attrs = append(attrs, slog.String("route", x.route.template))
	}
	attrs = append(attrs,
		slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes),
		slog.Duration("duration", g.config.Now().Sub(start)), slog.String("request_id", x.id))
	if rec.deadlines.late {
		attrs = append(attrs, slog.Bool("slow_reader", true))
	}
	if x.refused != nil {
		// What is wrong with a token, never the token; but a part of it may be quoted.
		text := x.refused.Error()
		attrs = append(attrs, slog.String("reason", errs.ReasonOf(x.refused)), slog.String("error", text[:min(len(text), maxLoggedError)]),
			slog.String("address", g.proxies.addressOf(r)))
	}
	g.logger.LogAttrs(r.Context(), level, "request", attrs...)
}
