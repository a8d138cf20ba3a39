package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

// span is one that reached the collector.
type span struct{ service, name, trace, id, parent, text string }

// collector takes traces, as an OpenTelemetry collector does.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer

	addr string

	mu    sync.Mutex
	spans map[string]span // by id
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{addr: lis.Addr().String(), spans: map[string]span{}}
	server := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(server, c)
	go func() { _ = server.Serve(lis) }()
	t.Cleanup(server.Stop)
	return c
}

// Export takes spans.
func (c *collector) Export(_ context.Context, r *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, from := range r.GetResourceSpans() {
		service := ""
		for _, attribute := range from.GetResource().GetAttributes() {
			if attribute.GetKey() == "service.name" {
				service = attribute.GetValue().GetStringValue()
			}
		}
		for _, scope := range from.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				id := fmt.Sprintf("%x", s.GetSpanId())
				c.spans[id] = span{
					service: service, name: s.GetName(), trace: fmt.Sprintf("%x", s.GetTraceId()), id: id,
					parent: fmt.Sprintf("%x", s.GetParentSpanId()), text: s.String(),
				}
			}
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// way finds spans of one trace of which each stands below the one before, however deep.
func (c *collector) way(steps ...string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		left := slices.Clone(steps)
		for at, ok := s, true; ok && len(left) > 0; at, ok = c.spans[at.parent] {
			if at.service+" "+at.name == left[len(left)-1] && at.trace == s.trace {
				left = left[:len(left)-1]
			}
		}
		if len(left) == 0 {
			return true
		}
	}
	return false
}

// keepsQuiet looks for what no span may hold.
func (c *collector) keepsQuiet(t *testing.T, private ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		for _, each := range private {
			if strings.Contains(s.text, each) {
				t.Errorf("a span holds %q: %s", each, s.text)
			}
		}
	}
}

// TestTraces follows requests through the processes, down to the database.
func TestTraces(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	w := fourProcessesWith(t, []string{"--otlp-endpoint", c.addr, "--trace-sample", "1"})
	course := publishCourse(t, w.as(t, "author", "author"), "traced")
	me := w.as(t, "traced-learner")
	id := me.id()
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": course.path}).want(http.StatusCreated)
	me.post("/v1/learners/me/events:batch", map[string]any{"events": course.basicsDone()}).want(http.StatusOK)
	me.get("/v1/learners/me/paths/" + course.path + "/progress").want(http.StatusOK)
	eventually(t, "the way of a read", func() bool {
		return c.way("preceptor-gateway GET /v1/learners/{learner_id}/paths/{path_id}/progress",
			"preceptor-gateway preceptor.progress.v1.ProgressService/GetPathProgress",
			"preceptor-progress preceptor.progress.v1.ProgressService/GetPathProgress", "preceptor-progress sql SELECT")
	})
	eventually(t, "the way of a write", func() bool {
		return c.way("preceptor-gateway POST /v1/learners/{learner_id}/events:batch",
			"preceptor-progress preceptor.progress.v1.ProgressService/BatchRecordEvents",
			"preceptor-progress sql transaction", "preceptor-progress sql INSERT")
	})
	eventually(t, "the way to profile", func() bool {
		return c.way("preceptor-progress preceptor.profile.v1.ProfileService/ResolveSubject",
			"preceptor-profile preceptor.profile.v1.ProfileService/ResolveSubject", "preceptor-profile sql SELECT")
	})
	c.keepsQuiet(t, id, "traced-learner", me.token)
	if log := w.front.output(); !strings.Contains(log, `"trace_id":"`) || !strings.Contains(log, `"span_id":"`) {
		t.Error("the log names no traces")
	}
}

// TestLostCollector runs without the collector that a flag names, and stops in good order.
func TestLostCollector(t *testing.T) {
	t.Parallel()
	w := oneProcess(t, "--otlp-endpoint", freeAddrs(t, 1)[0])
	w.as(t, "untraced").id()
	if code := w.front.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// family is one metric: whether it is a histogram, and its labels.
type family struct {
	histogram bool
	labels    map[string]bool
}

// families are the metrics that a program exposes, by name.
type families map[string]family

var (
	typeLine   = regexp.MustCompile(`^# TYPE (\w+) (\w+)$`)
	sampleLine = regexp.MustCompile(`^(\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? \S+$`)
	labelName  = regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`)
)

// scrape adds what one process shows.
func (f families) scrape(t *testing.T, p *process) {
	t.Helper()
	page := (&client{t: t, base: "http://" + p.metrics}).get("/metrics").want(http.StatusOK)
	for line := range strings.Lines(string(page.body)) {
		line = strings.TrimSpace(line)
		if m := typeLine.FindStringSubmatch(line); m != nil {
			if _, known := f[m[1]]; !known {
				f[m[1]] = family{histogram: m[2] == "histogram", labels: map[string]bool{}}
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for _, label := range labelName.FindAllStringSubmatch(m[2], -1) {
			if labels := f[m[1]].labels; labels != nil && label[1] != "le" {
				labels[label[1]] = true
			}
		}
	}
}

// TestMetrics compares the table of metrics in docs/operations.md with running programs. tools/kube
// compares the dashboard and the alerts with the table.
func TestMetrics(t *testing.T) {
	t.Parallel()
	own := []string{"--metrics-addr", "127.0.0.1:0"}
	w := startFour(t, t.TempDir(), map[string][]string{
		"profile": slices.Concat(own, []string{"--oidc-issuer", newProvider(t).url, "--oidc-audience", "preceptor-test", "--local-issuer"}),
		"catalog": own, "gateway": own,
		"progress": slices.Concat(own, []string{"--redis-url", "redis://" + freeAddrs(t, 1)[0]}), // nothing listens there, which is measured too
	})
	operator := w.operator(t)
	eventually(t, "only Redis is missed", func() bool {
		a := operator.get("/readyz")
		return a.get("degraded.0") == "progress is degraded: its own /readyz says why" && a.get("degraded.1") == nil
	})
	course := publishCourse(t, w.as(t, "author", "author"), "measured")
	me := w.as(t, "measured-learner")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": course.path}).want(http.StatusCreated)
	me.post("/v1/learners/me/events:batch", map[string]any{"events": course.basicsDone()}).want(http.StatusOK)
	me.get("/nowhere").want(http.StatusNotFound)
	eventually(t, "progress sweeps", func() bool {
		return slices.ContainsFunc(w.all, func(p *process) bool {
			page := (&client{t: t, base: "http://" + p.metrics}).get("/metrics")
			return strings.Contains(string(page.body), "\npreceptor_sweep_age_seconds ")
		})
	})
	shown := families{}
	for _, p := range w.all {
		shown.scrape(t, p)
	}
	checkDocuments(t, shown)
}

func checkDocuments(t *testing.T, shown families) {
	row := regexp.MustCompile("(?m)^\\| `((?:preceptor|go|process)_\\w+)` \\| ([^|]*)\\| (histogram)?")
	documented := families{}
	for _, m := range row.FindAllStringSubmatch(repoFile(t, "docs/operations.md"), -1) {
		documented[m[1]] = family{histogram: m[3] != "", labels: map[string]bool{}}
		for label := range strings.SplitSeq(m[2], ",") {
			if label = strings.TrimSpace(label); label != "" {
				documented[m[1]].labels[label] = true
			}
		}
	}
	for name, is := range shown {
		if _, listed := documented[name]; !listed && strings.HasPrefix(name, "preceptor_") {
			t.Errorf("docs/operations.md does not list %s %v", name, slices.Sorted(maps.Keys(is.labels)))
		}
	}
	for name, doc := range documented {
		is, exists := shown[name]
		if !exists {
			t.Errorf("docs/operations.md lists %s, which does not exist", name)
		} else if doc.histogram != is.histogram || !maps.Equal(doc.labels, is.labels) {
			t.Errorf("docs/operations.md does not describe %s: histogram %t, labels %v", name, is.histogram, slices.Sorted(maps.Keys(is.labels)))
		}
	}
}

// repoFile reads a file of the repository.
func repoFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDegradedService asks a service what it goes without.
func TestDegradedService(t *testing.T) {
	t.Parallel()
	data, addrs := t.TempDir(), freeAddrs(t, 2)
	serve := func(name string, more ...string) *process {
		return start(t, slices.Concat([]string{"serve", name, "--data", data, "--drain-delay", "0s"}, more)...)
	}
	catalog := serve("catalog", "--listen", "127.0.0.1:0", "--progress-addr", addrs[0])
	profile := serve("profile", "--listen", "127.0.0.1:0", "--catalog-addr", catalog.addr)
	progress := serve("progress", "--listen", addrs[0], "--catalog-addr", catalog.addr, "--profile-addr", profile.addr, "--health-addr", addrs[1],
		"--metrics-addr", "127.0.0.1:0")
	anyone := &client{t: t, base: "http://" + addrs[1]}
	eventually(t, "nothing is missed", func() bool { return anyone.get("/readyz").get("status") == "ready" })
	profile.kill()
	eventually(t, "profile is missed", func() bool {
		a := anyone.get("/readyz")
		return a.status == http.StatusOK && a.get("status") == "degraded" && strings.Contains(string(a.body), "profile cannot be reached")
	})
	page := string((&client{t: t, base: "http://" + progress.metrics}).get("/metrics").want(http.StatusOK).body)
	for _, line := range []string{
		"preceptor_ready 1", `preceptor_degraded_dependencies{dependency="profile"} 1`, `preceptor_degraded_dependencies{dependency="catalog"} 0`,
	} {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("the metrics do not have %s", line)
		}
	}
}
