package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/preceptor-dev/preceptor/internal/testenv"
	"github.com/preceptor-dev/preceptor/internal/tracing"

	"google.golang.org/grpc"
)

// TestRequestsAreTracedAndObserved checks that spans and metrics hold nothing that a client chose.
func TestRequestsAreTracedAndObserved(t *testing.T) {
	seen := tracetest.NewInMemoryExporter()
	var observed []string
	conn := stillConn{path: samplePathProgress(t)}
	verifier, token := localToken(t)
	g, err := New(Config{
		Verifier: verifier,
		Conns:    map[string]grpc.ClientConnInterface{"profile": conn, "catalog": conn, "progress": conn}, Now: testenv.Now,
		Tracer: tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen))),
		Observe: func(route, method string, status int, took time.Duration) {
			observed = append(observed, fmt.Sprint(method, " ", route, " ", status, " ", took >= 0))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, each := range []struct{ method, path string }{
		{http.MethodGet, "/v1/learners/the-learner-zoe/paths/p/progress"},
		{http.MethodGet, "/v1/learners/me/progress:watch?ticket=zoes"}, // no hex digits, of which random ids are
		{"BREW", "/v1/the-learner-zoe"},
		{http.MethodGet, "/healthz"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), each.method, each.path, nil)
		if r.URL.RawQuery == "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		r.Header.Set("Traceparent", parent)
		g.ServeHTTP(httptest.NewRecorder(), r)
	}
	want := "GET /v1/learners/{learner_id}/paths/{path_id}/progress 200 true, GET /v1/learners/{learner_id}/progress:watch 500 false, OTHER  404 true, GET  200 true"
	if got := strings.Join(observed, ", "); got != want {
		t.Errorf("observed %s\nwant     %s", got, want)
	}
	var names []string
	for _, span := range seen.GetSpans() {
		names = append(names, span.Name)
		if span.SpanContext.TraceID().String() == parent[3:35] || span.Parent.IsValid() {
			t.Errorf("%s is part of a stranger's trace", span.Name)
		}
		if text := fmt.Sprint(span.Name, span.Attributes, span.Status); strings.Contains(text, "zoe") || strings.Contains(text, "BREW") {
			t.Errorf("a span holds what the caller sent: %s", text)
		}
	}
	if got := strings.Join(names, ", "); got != "GET /v1/learners/{learner_id}/paths/{path_id}/progress, GET /v1/learners/{learner_id}/progress:watch, HTTP" {
		t.Error(got)
	}
}

// TestWhoseTracesGoOn has nothing recorded but what a trusted proxy records, and only where that is asked for.
func TestWhoseTracesGoOn(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	proxy := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for name, c := range map[string]struct {
		from      string
		proxies   []netip.Prefix
		goOn      bool
		forwarded string
		want      int
	}{
		"a stranger":                         {from: "192.0.2.1:1"},
		"a stranger, and no proxies":         {from: "192.0.2.1:1", goOn: true},
		"a stranger beside proxies":          {from: "192.0.2.1:1", proxies: proxy, goOn: true, forwarded: "10.0.0.1"},
		"a proxy of which that is not asked": {from: "10.0.0.1:1", proxies: proxy},
		"a proxy":                            {from: "10.0.0.1:1", proxies: proxy, goOn: true, forwarded: "192.0.2.1", want: 1},
	} {
		seen := tracetest.NewInMemoryExporter()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(seen), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
		conn := stillConn{path: samplePathProgress(t)}
		verifier, _ := localToken(t)
		g, err := New(Config{
			Verifier: verifier, Now: testenv.Now, Tracer: tracing.New(provider), TrustedProxies: c.proxies, ContinueTraces: c.goOn,
			Conns: map[string]grpc.ClientConnInterface{"profile": conn, "catalog": conn, "progress": conn},
		})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/topics", nil)
		r.RemoteAddr = c.from
		r.Header.Set("Traceparent", parent)
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		g.ServeHTTP(httptest.NewRecorder(), r)
		spans := seen.GetSpans()
		if len(spans) != c.want || c.want == 1 && spans[0].SpanContext.TraceID().String() != parent[3:35] {
			t.Errorf("%s: %d spans", name, len(spans))
		}
		_ = g.Close()
	}
}
