package gateway

import (
	"log/slog"
	"net/http"
	"time"
)

// recorder records the status and the size of a response, for the log.
type recorder struct {
	http.ResponseWriter

	head     bool // the body is dropped: the request was a HEAD
	status   int
	bytes    int64
	wrote    bool
	complete bool // a whole response was written in spite of a panic

	deadlines deadlines
}

func (g *Gateway) newRecorder(w http.ResponseWriter, head bool) *recorder {
	return &recorder{ResponseWriter: w, head: head, deadlines: deadlines{control: http.NewResponseController(w), base: g.config.SlowReader}}
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader records the status.
func (r *recorder) WriteHeader(status int) {
	if status >= http.StatusOK && !r.wrote {
		r.status, r.wrote = status, true
		if status == http.StatusNoContent || status == http.StatusNotModified || r.head {
			r.deadlines.until(machineTime(r.deadlines.base)) // nothing else is written
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (r *recorder) Write(b []byte) (int, error) {
	if !r.wrote {
		r.status, r.wrote = http.StatusOK, true
	}
	if r.head {
		return len(b), nil
	}
	n, err := r.deadlines.write(r.ResponseWriter, b)
	r.bytes += int64(n)
	return n, err
}

// maxLoggedPath bounds a log line; the query, which may hold secrets, is not logged.
const maxLoggedPath = 256

// logAccess logs one request.
func (g *Gateway) logAccess(rec *recorder, r *http.Request, method string, start time.Time) {
	x := exchangeOf(r)
	level := slog.LevelInfo
	switch {
	case r.URL.Path == "/healthz" || r.URL.Path == "/readyz":
		level = slog.LevelDebug
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
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("method", method), slog.String("path", path[:min(len(path), maxLoggedPath)]))
	if x.route != nil {
		attrs = append(attrs, slog.String("route", x.route.template))
	}
	attrs = append(attrs,
		slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes),
		slog.Duration("duration", g.config.Now().Sub(start)), slog.String("request_id", x.id))
	if rec.deadlines.late {
		attrs = append(attrs, slog.Bool("slow_reader", true))
	}
	g.logger.LogAttrs(r.Context(), level, "request", attrs...)
}
