package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/gateway"
)

func TestOriginsAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"*": "", "https://app.example.org": "", "https://app.example.org/": "", "http://localhost:3000": "", "https://[2001:db8::1]:8443": "",
		"capacitor://localhost":            "",
		"https://*.example.org":            "is no web origin",
		"example.org":                      "(want https://example.org)",
		"localhost:3000":                   "(want https://localhost:3000)",
		"https://app.example.org/learn":    "(want https://app.example.org)",
		"https://app.example.org//":        "(want https://app.example.org)",
		"https://app.example.org?x":        "(want https://app.example.org)",
		"https://app.example.org/#x":       "(want https://app.example.org)",
		"HTTPS://App.Example.org":          "(want https://app.example.org)",
		"https://app.example.org:443":      "(want https://app.example.org)",
		"http://app.example.org:80":        "(want http://app.example.org)",
		"https://müller.example":           "xn--",
		"https://":                         "https://app.example.org",
		"https://:8080":                    "https://app.example.org",
		"https://ada:secret@a.example":     "https://app.example.org",
		"null":                             "https://app.example.org",
		"":                                 "https://app.example.org",
		"example.org/learn":                "https://app.example.org",
		"https://*.example.org, https://b": "https://app.example.org",
	} {
		err := gateway.CheckOrigin(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestPagesReadTheHeaders holds that a page of another origin may read each header of ours.
func TestPagesReadTheHeaders(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.AllowedOrigins = []string{"https://a.example"} })
	got := strings.Split(h.get(t, "/v1/topics", "Origin", "https://a.example").header.Get("Access-Control-Expose-Headers"), ", ")
	for _, name := range []string{
		"Date", "ETag", "Location", "Retry-After", "X-Request-Id", "Preceptor-As-Of-Sequence", "Idempotency-Replayed", "RateLimit", "RateLimit-Policy",
		"Preceptor-Catalog-Revision", "Preceptor-Profile-Revision", "Content-Disposition", "WWW-Authenticate", "Allow",
	} {
		if !slices.Contains(got, name) {
			t.Errorf("%s is not exposed", name)
		}
	}
	// Whatever a response has is exposed, or one that pages may always read, or of the connection.
	a := h.do(t, http.MethodPost, "/v1/modules?moduleId=a", `{}`, "Origin", "https://a.example")
	for name := range a.header {
		switch {
		case slices.ContainsFunc(got, func(e string) bool { return strings.EqualFold(e, name) }):
		case slices.Contains([]string{"Content-Type", "Content-Length", "Cache-Control", "Vary", "Connection"}, name):
		case strings.HasPrefix(name, "Access-Control-"), name == "X-Content-Type-Options":
		default:
			t.Errorf("%s is not exposed", name)
		}
	}
}
