package main

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metricsql"
	"sigs.k8s.io/yaml"
)

// operations is the document whose table lists the program's metrics, and whose sections alerts
// refer to. The black-box suite compares the table with running programs.
const operations = "docs/operations.md"

// metrics are the names that an expression may use.
type metrics map[string]bool

// documentedMetrics reads the table of metrics. A histogram has the names of its series.
func documentedMetrics(text string) metrics {
	names := metrics{"up": true} // Prometheus's own
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:preceptor|go|process)_\\w+)` \\|[^|]*\\| (histogram)?").FindAllStringSubmatch(text, -1) {
		if m[2] == "" {
			names[m[1]] = true
			continue
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			names[m[1]+suffix] = true
		}
	}
	return names
}

// check parses an expression of PromQL, and looks up the metrics that it names.
func (m metrics) check(f *faults, where, expression string) {
	parsed, err := metricsql.Parse(strings.ReplaceAll(expression, "$__rate_interval", "5m"))
	if err != nil {
		f.addf("%s: %v", where, err)
		return
	}
	found := 0
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		metric, ok := e.(*metricsql.MetricExpr)
		if !ok {
			return
		}
		for _, filter := range slices.Concat(metric.LabelFilterss...) {
			if filter.Label != "__name__" {
				continue
			}
			if found++; !m[filter.Value] {
				f.addf("%s: %s lists no metric %s", where, operations, filter.Value)
			}
		}
	})
	if found == 0 {
		f.addf("%s: %q names no metric", where, expression)
	}
}

// telemetryFaults checks the dashboard and the alerts of a repository.
func telemetryFaults(root string) ([]string, error) {
	text := map[string]string{}
	for _, name := range []string{operations, "deploy/grafana/preceptor.json", "deploy/prometheus/alerts.yaml"} {
		b, err := os.ReadFile(root + "/" + name)
		if err != nil {
			return nil, err
		}
		text[name] = string(b)
	}
	known := documentedMetrics(text[operations])
	return slices.Concat(
		dashboardFaults(text["deploy/grafana/preceptor.json"], known),
		alertFaults(text["deploy/prometheus/alerts.yaml"], text[operations], known),
	), nil
}

func dashboardFaults(text string, known metrics) []string {
	var dashboard struct {
		Panels []struct {
			ID      int    `json:"id"`
			Title   string `json:"title"`
			Type    string `json:"type"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(text), &dashboard); err != nil {
		return []string{err.Error()}
	}
	var f faults
	ids := map[int]bool{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] || panel.Title == "" || panel.Type != "row" && len(panel.Targets) == 0 {
			f.addf("panel %d %q has no title, no target, or another's id", panel.ID, panel.Title)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			known.check(&f, "panel "+panel.Title, target.Expr)
		}
	}
	if len(ids) < 20 {
		f.addf("the dashboard has %d panels", len(ids))
	}
	for _, metric := range slices.Sorted(maps.Keys(known)) {
		name := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(metric, "")
		if strings.HasPrefix(name, "preceptor_") && !regexp.MustCompile(`\b`+name+`(_bucket|_sum|_count)?\b`).MatchString(text) {
			f.addf("no panel shows %s", metric)
		}
	}
	return f
}

// alertFile is a file of Prometheus' alerting rules, as far as ours go.
type alertFile struct {
	Groups []struct {
		Name  string      `json:"name"`
		Rules []alertRule `json:"rules"`
	} `json:"groups"`
}

type alertRule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func alertFaults(text, runbook string, known metrics) []string {
	var file alertFile
	if err := yaml.UnmarshalStrict([]byte(text), &file); err != nil {
		return []string{err.Error()}
	}
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (.+)$`).FindAllStringSubmatch(runbook, -1) {
		anchors[operations+"#"+strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")] = true
	}
	var f faults
	names := map[string]bool{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if names[rule.Alert] {
				f.addf("%s is there twice", rule.Alert)
			}
			names[rule.Alert] = true
			rule.check(&f, anchors)
			known.check(&f, rule.Alert, rule.Expr)
		}
	}
	if len(names) < 8 {
		f.addf("there are %d alerts", len(names))
	}
	for _, metric := range []string{"preceptor_db_refuses_writes", "preceptor_issuer_keys_age_seconds"} {
		if !strings.Contains(text, metric) { // nothing else pages when these are wrong
			f.addf("no alert is about %s", metric)
		}
	}
	return f
}

func (r alertRule) check(f *faults, anchors map[string]bool) {
	if !regexp.MustCompile(`^Preceptor[A-Z]\w+$`).MatchString(r.Alert) || !regexp.MustCompile(`^\d+m$`).MatchString(r.For) {
		f.addf("%q is not the name of an alert, or %q not how long it waits", r.Alert, r.For)
	}
	if severity := r.Labels["severity"]; severity != "page" && severity != "ticket" {
		f.addf("%s has the severity %q", r.Alert, severity)
	}
	if !anchors[r.Annotations["runbook"]] || r.Annotations["summary"] == "" {
		f.addf("%s has no summary, or there is no section %q", r.Alert, r.Annotations["runbook"])
	}
}
