package gateway_test

import (
	"html"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

func TestDocsPage(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/", "/docs/"} {
		if a := h.get(t, path); a.status != 302 || a.header.Get("Location") != "/docs" {
			t.Errorf("%s: %+v", path, a)
		}
	}
	page := h.get(t, "/docs")
	if page.status != 200 || page.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", page.status, page.header)
	}
	policy := page.header.Get("Content-Security-Policy")
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
	for _, path := range []string{"/docs/app.js", "/docs/schema.js", "/docs/tryit.js", "/docs/defaults.js", "/docs/dom.js", "/docs/style.css", "/docs/mark.svg"} {
		if !seen[path] {
			t.Errorf("%s is not reached from the page", path)
		}
	}
	h.get(t, "/docs/index.html").wantProblem(t, 404, "ROUTE_NOT_FOUND")
	h.get(t, "/docs/../gateway.go").wantProblem(t, 404, "ROUTE_NOT_FOUND")
}

// TestReasonsAreExplained proves that the type of every problem, and the reason of everything else
// that a client can receive, has an anchor of its own with each of its meanings, and that the page
// has no anchor for anything else.
func TestReasonsAreExplained(t *testing.T) {
	page := open(t).get(t, "/docs").body
	texts := map[string]string{}
	for _, m := range regexp.MustCompile(`<div id="reason-([A-Z0-9_]+)"><dt>([A-Z0-9_]+)</dt>(.*)</div>`).FindAllStringSubmatch(page, -1) {
		if _, twice := texts[m[1]]; twice || m[1] != m[2] {
			t.Errorf("a second anchor, or another text: %q", m[0])
		}
		texts[m[1]] = html.UnescapeString(regexp.MustCompile(`</?code>`).ReplaceAllString(m[3], "`"))
	}
	known := map[string]bool{}
	for _, m := range errs.Meanings() {
		if m.Use == errs.UseInternal {
			continue
		}
		known[m.Reason] = true
		text, ok := texts[m.Reason]
		switch {
		case !ok:
			t.Errorf("the page does not explain %s", m.Reason)
		case m.Text == "", !strings.Contains(text, m.Text), m.Status != 0 && !strings.Contains(text, ">"+strconv.Itoa(m.Status)+"</span> "):
			t.Errorf("the page explains %s as %q, and lacks %+v", m.Reason, text, m)
		}
	}
	for reason := range texts {
		if !known[reason] {
			t.Errorf("the page explains %s, which no client receives", reason)
		}
	}
	if len(known) < 100 || strings.Contains(page, "<!--") {
		t.Errorf("%d reasons; a comment is left in the page: %t", len(known), strings.Contains(page, "<!--"))
	}
}
