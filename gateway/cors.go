package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// origins are the web origins that browsers may call from.
type origins struct {
	any  bool
	list []string
}

// CheckOrigin returns what is wrong with a text as an origin that browsers may call from, and what would be
// right; nil for "*" and for an origin as browsers spell it: "https://app.example.org", in Config with or
// without a slash at its end.
func CheckOrigin(text string) error {
	if text == "*" {
		return nil
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		if host, port, _ := strings.Cut(text, ":"); text == "null" || host == "" || strings.ContainsAny(text, "/?#@ ") || strings.Trim(port, "0123456789") != "" {
			return fmt.Errorf("%q is no web origin (want one such as https://app.example.org, or *)", text)
		}
		return fmt.Errorf("%q has no scheme (want https://%s)", text, text)
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Opaque != "" || strings.Contains(u.Host, "*") {
		return fmt.Errorf("%q is no web origin (want one such as https://app.example.org, or *)", text)
	}
	// What url.Parse makes of the scheme is in lower case; browsers send the host so, too.
	origin := u.Scheme + "://" + strings.ToLower(u.Host)
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		origin = strings.TrimSuffix(origin, ":"+port)
	}
	switch {
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r >= utf8.RuneSelf }):
		return fmt.Errorf("%q is not as browsers send it: write the host in its ASCII form, which begins with xn--", text)
	case strings.ContainsAny(strings.TrimSuffix(rest, "/"), "/?#"):
		return fmt.Errorf("%q is more than an origin, which has no path (want %s)", text, origin)
	case scheme+"://"+strings.TrimSuffix(rest, "/") != origin:
		return fmt.Errorf("%q is not as browsers send it (want %s)", text, origin)
	}
	return nil
}

// exposed are the headers of responses that pages of other origins may read.
func exposed() string {
	return "Allow, Content-Disposition, Date, ETag, Idempotency-Replayed, Location, Preceptor-As-Of-Sequence, Preceptor-Catalog-Revision, " +
		"Preceptor-Profile-Revision, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id"
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
	h.Set("Access-Control-Expose-Headers", exposed())
	if method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers",
		"Authorization, Content-Encoding, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Request-Id, Traceparent, Tracestate")
	h.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
	return true
}
