package gateway_test

import (
	"regexp"
	"strings"
	"testing"
)

func TestDocsPage(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/", "/docs/"} {
		if a := h.get(t, path); a.status != 302 || a.header.Get("Location") != "/docs" {
			t.Errorf("%s: %+v", path, a)
		}
	}
	html := h.get(t, "/docs")
	if html.status != 200 || html.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", html.status, html.header)
	}
	policy := html.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("policy %q", policy)
	}
	outside := regexp.MustCompile(`(?i)(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}`)
	inline := regexp.MustCompile(`(?i)<script>|<style>| style=| on\w+=`)
	assets := regexp.MustCompile(`(?:src|href)="(/docs/[^"]+)"|from "\./([^"]+)"`)
	seen, queue := map[string]bool{}, []string{"/docs"}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		a := h.get(t, path)
		if a.status != 200 || a.header.Get("ETag") == "" || a.header.Get("Content-Type") == "" || a.header.Get("Content-Security-Policy") != policy {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		if found := outside.FindString(strings.ReplaceAll(a.body, "http://www.w3.org/2000/svg", "")); found != "" {
			t.Errorf("%s leads to %s: the page works offline", path, found)
		}
		if found := inline.FindString(a.body); found != "" {
			t.Errorf("%s holds %q, which the policy forbids", path, found)
		}
		for _, m := range assets.FindAllStringSubmatch(a.body, -1) {
			if m[1] != "" {
				queue = append(queue, m[1])
			} else {
				queue = append(queue, "/docs/"+m[2])
			}
		}
		if again := h.get(t, path, "If-None-Match", a.header.Get("ETag")); again.status != 304 {
			t.Errorf("%s again: %d", path, again.status)
		}
	}
	for _, path := range []string{"/docs/app.js", "/docs/schema.js", "/docs/tryit.js", "/docs/dom.js", "/docs/style.css", "/docs/mark.svg"} {
		if !seen[path] {
			t.Errorf("%s is not reached from the page", path)
		}
	}
	h.get(t, "/docs/index.html").wantProblem(t, 404, "ROUTE_NOT_FOUND")
	h.get(t, "/docs/../gateway.go").wantProblem(t, 404, "ROUTE_NOT_FOUND")
}

// TestReasonsAreExplained holds the page to the reasons that the gateway
// itself gives.
func TestReasonsAreExplained(t *testing.T) {
	page := open(t).get(t, "/docs").body
	for _, reason := range []string{
		"INVALID_ARGUMENT", "ROUTE_NOT_FOUND", "METHOD_NOT_ALLOWED", "ETAG_MISMATCH", "BODY_TOO_LARGE",
		"IDEMPOTENCY_KEY_REUSED", "IDEMPOTENCY_KEY_IN_FLIGHT", "RATE_LIMITED", "SHUTTING_DOWN", "INTERNAL",
	} {
		if !strings.Contains(page, `id="reason-`+reason+`"`) {
			t.Errorf("the page does not explain %s", reason)
		}
	}
}
