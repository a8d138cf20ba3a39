package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// origins are the web origins that browsers may call from.
type origins struct {
	any  bool
	list []string
}

func newOrigins(allowed []string) origins {
	o := origins{any: slices.Contains(allowed, "*")}
	for _, origin := range allowed {
		o.list = append(o.list, strings.TrimSuffix(origin, "/"))
	}
	return o
}

// preflight sets the headers that let browsers call from allowed origins. It reports
// whether the request was a preflight request, which it has then responded to. No
// cookies are used, so credentials are never allowed.
func (g *Gateway) preflight(w http.ResponseWriter, r *http.Request, method string) bool {
	if !g.origins.any && len(g.origins.list) == 0 {
		return false
	}
	h := w.Header()
	if !g.origins.any {
		h.Add("Vary", "Origin")
	}
	origin := r.Header.Get("Origin")
	switch {
	case origin == "" || !g.origins.any && !slices.Contains(g.origins.list, origin):
		return false
	case g.origins.any:
		h.Set("Access-Control-Allow-Origin", "*")
	default:
		h.Set("Access-Control-Allow-Origin", origin)
	}
	h.Set("Access-Control-Expose-Headers",
		"ETag, Location, Retry-After, X-Request-Id, Preceptor-As-Of-Sequence, Preceptor-Catalog-Revision, Preceptor-Profile-Revision, Content-Disposition")
	if method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers",
		"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Request-Id, Traceparent, Tracestate")
	h.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
	return true
}
