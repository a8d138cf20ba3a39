package e2e

import (
	"bytes"
	"context"
	"encoding/json"
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

	"github.com/VictoriaMetrics/metricsql"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
)

// span is one that reached the collector.
type span struct{ service, name, trace, id, parent, told string }

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
					parent: fmt.Sprintf("%x", s.GetParentSpanId()), told: s.String(),
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

// keepsQuiet looks for what no span may tell.
func (c *collector) keepsQuiet(t *testing.T, private ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		for _, each := range private {
			if strings.Contains(s.told, each) {
				t.Errorf("a span tells %q: %s", each, s.told)
			}
		}
	}
}

// TestTraces follows requests through the processes, down to the database.
func TestTraces(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	w := fourProcessesWith(t, []string{"--otlp-endpoint", c.addr}, "--otlp-endpoint", c.addr)
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
	if said := w.front.said(); !strings.Contains(said, `"trace_id":"`) || !strings.Contains(said, `"span_id":"`) {
		t.Error("the log names no traces")
	}
}

// TestLostCollector runs without the collector that it was told of, and stops in good order.
func TestLostCollector(t *testing.T) {
	t.Parallel()
	w := oneProcess(t, "--otlp-endpoint", freeAddrs(t, 1)[0])
	w.as(t, "untraced").id()
	if code := w.front.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// families are the metrics that a program shows, with their labels.
type families map[string]map[string]bool

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
			if f[m[1]] == nil {
				f[m[1]] = map[string]bool{}
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for _, label := range labelName.FindAllStringSubmatch(m[2], -1) {
			if f[m[1]] != nil && label[1] != "le" {
				f[m[1]][label[1]] = true
			}
		}
	}
}

// has tells whether a name in an expression is one of them.
func (f families) has(name string) bool {
	for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && f[base] != nil {
			return true
		}
	}
	return name == "up" // Prometheus's own
}

// TestMetrics holds the documents, the dashboard and the alerts to what the program shows.
func TestMetrics(t *testing.T) {
	t.Parallel()
	own := []string{"--metrics-addr", "127.0.0.1:0"}
	w := startFour(t, t.TempDir(), map[string][]string{
		"profile": own, "catalog": own, "gateway": own,
		"progress": append(own, "--redis-url", "redis://"+freeAddrs(t, 1)[0]), // nobody is there, which is measured too
	})
	anyone := &client{t: t, base: w.base}
	eventually(t, "only Redis is missed", func() bool {
		a := anyone.get("/readyz")
		return a.get("degraded.0") == "progress is degraded: its own /readyz says why" && a.get("degraded.1") == nil
	})
	course := publishCourse(t, w.as(t, "author", "author"), "measured")
	me := w.as(t, "measured-learner")
	me.post("/v1/learners/me/enrollments", map[string]any{"pathId": course.path}).want(http.StatusCreated)
	me.post("/v1/learners/me/events:batch", map[string]any{"events": course.basicsDone()}).want(http.StatusOK)
	me.get("/nowhere").want(http.StatusNotFound)
	shown := families{}
	for _, p := range w.all {
		shown.scrape(t, p)
	}
	checkDocuments(t, shown)
	checkDashboard(t, shown)
	checkAlerts(t, shown)
}

func checkDocuments(t *testing.T, shown families) {
	row := regexp.MustCompile("(?m)^\\| `(preceptor_\\w+)` \\| ([^|]*)\\|")
	documented := families{}
	for _, m := range row.FindAllStringSubmatch(repoFile(t, "docs/operations.md"), -1) {
		documented[m[1]] = map[string]bool{}
		for label := range strings.SplitSeq(m[2], ",") {
			if label = strings.TrimSpace(label); label != "" {
				documented[m[1]][label] = true
			}
		}
	}
	for name, labels := range shown {
		if strings.HasPrefix(name, "preceptor_") && documented[name] == nil {
			t.Errorf("docs/operations.md does not list %s %v", name, slices.Sorted(maps.Keys(labels)))
		}
	}
	for name, labels := range documented {
		if shown[name] == nil {
			t.Errorf("docs/operations.md lists %s, which is not shown", name)
		} else if !maps.Equal(labels, shown[name]) {
			t.Errorf("%s has the labels %v, not %v", name, slices.Sorted(maps.Keys(shown[name])), slices.Sorted(maps.Keys(labels)))
		}
	}
}

// checkExpression parses PromQL, and finds its metrics.
func checkExpression(t *testing.T, where, expression string, shown families) {
	t.Helper()
	parsed, err := metricsql.Parse(strings.ReplaceAll(expression, "$__rate_interval", "5m"))
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	found := 0
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		metric, ok := e.(*metricsql.MetricExpr)
		if !ok {
			return
		}
		for _, filters := range metric.LabelFilterss {
			for _, filter := range filters {
				if filter.Label != "__name__" {
					continue
				}
				if found++; !shown.has(filter.Value) {
					t.Errorf("%s: there is no metric %s", where, filter.Value)
				}
			}
		}
	})
	if found == 0 {
		t.Errorf("%s: %q names no metric", where, expression)
	}
}

func checkDashboard(t *testing.T, shown families) {
	var dashboard struct {
		Title  string `json:"title"`
		Panels []struct {
			ID      int    `json:"id"`
			Title   string `json:"title"`
			Type    string `json:"type"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(repoFile(t, "deploy/grafana/preceptor.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] || panel.Title == "" || panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("panel %d %q is no whole panel", panel.ID, panel.Title)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			checkExpression(t, panel.Title, target.Expr, shown)
		}
	}
	if len(ids) < 20 {
		t.Errorf("%d panels", len(ids))
	}
}

func checkAlerts(t *testing.T, shown families) {
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(repoFile(t, "deploy/prometheus/alerts.yaml"))))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (.+)$`).FindAllStringSubmatch(repoFile(t, "docs/operations.md"), -1) {
		anchors["docs/operations.md#"+strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")] = true
	}
	names := map[string]bool{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if names[rule.Alert] || !regexp.MustCompile(`^Preceptor[A-Z]\w+$`).MatchString(rule.Alert) || !regexp.MustCompile(`^\d+m$`).MatchString(rule.For) {
				t.Errorf("%q is no alert, or is there twice", rule.Alert)
			}
			names[rule.Alert] = true
			if severity := rule.Labels["severity"]; severity != "page" && severity != "ticket" {
				t.Errorf("%s has the severity %q", rule.Alert, severity)
			}
			if !anchors[rule.Annotations["runbook"]] || rule.Annotations["summary"] == "" {
				t.Errorf("%s: nothing is written at %q", rule.Alert, rule.Annotations["runbook"])
			}
			checkExpression(t, rule.Alert, rule.Expr, shown)
		}
	}
	if len(names) < 8 {
		t.Errorf("%d alerts", len(names))
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
	serve("progress", "--listen", addrs[0], "--catalog-addr", catalog.addr, "--profile-addr", profile.addr, "--health-addr", addrs[1])
	anyone := &client{t: t, base: "http://" + addrs[1]}
	eventually(t, "nothing is missed", func() bool { return anyone.get("/readyz").get("status") == "ready" })
	profile.kill()
	eventually(t, "profile is missed", func() bool {
		a := anyone.get("/readyz")
		return a.status == http.StatusOK && a.get("status") == "degraded" && strings.Contains(string(a.body), "profile cannot be reached")
	})
}
