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

// operations is the document whose tables list the program's metrics, which the black-box suite compares
// with running programs, and those of others. runbooks has a section for each alert.
const (
	operations = "docs/operations.md"
	runbooks   = "docs/runbooks.md"
)

// testFiles are the tests of the alerts.
func testFiles() []string {
	return []string{"deploy/prometheus/alerts_test.yaml", "deploy/prometheus/alerts_days_test.yaml"}
}

// metrics are the names that an expression may use.
type metrics map[string]bool

// documentedMetrics reads the tables of metrics. A histogram has the names of its series.
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
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:kube|kubelet|cnpg|barman|redis|certmanager)_\\w+)` \\|").FindAllStringSubmatch(text, -1) {
		names[m[1]] = true
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
	for _, name := range telemetryFiles() {
		b, err := os.ReadFile(root + "/" + name)
		if err != nil {
			return nil, err
		}
		text[name] = string(b)
	}
	return telemetryFaultsIn(text), nil
}

// telemetryFiles are the files that telemetryFaults reads.
func telemetryFiles() []string {
	return append(testFiles(), "go.mod", operations, runbooks, dashboardFile, alertsFile, rulesFile)
}

// telemetryFaultsIn checks the texts of telemetryFiles.
func telemetryFaultsIn(text map[string]string) []string {
	var file alertFile
	if err := yaml.UnmarshalStrict([]byte(text[alertsFile]), &file); err != nil {
		return []string{err.Error()}
	}
	known := documentedMetrics(text[operations])
	for _, rule := range file.all() {
		if rule.Record != "" {
			known[rule.Record] = true
		}
	}
	var tests strings.Builder
	for _, name := range testFiles() {
		tests.WriteString(text[name])
	}
	return slices.Concat(
		dashboardFaults(text[dashboardFile], known), alertFaults(file, known), rulesFaults(text[alertsFile], text[rulesFile]),
		runbookFaults(file, text[runbooks], text["go.mod"]), untested(file, tests.String()),
	)
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

// alertFile is a file of Prometheus' rules, as far as ours go.
type alertFile struct {
	Groups []struct {
		Name     string      `json:"name"`
		Interval string      `json:"interval"`
		Rules    []alertRule `json:"rules"`
	} `json:"groups"`
}

// all are the rules of all groups.
func (f alertFile) all() []alertRule {
	var all []alertRule
	for _, group := range f.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// alertRule is a rule that makes an alert or, with Record, a series.
type alertRule struct {
	Alert       string            `json:"alert"`
	Record      string            `json:"record"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func alertFaults(file alertFile, known metrics) []string {
	var f faults
	names := map[string]bool{}
	var expressions strings.Builder
	for _, rule := range file.all() {
		name := rule.Alert + rule.Record
		if names[name] {
			f.addf("%s is there twice", name)
		}
		names[name] = true
		known.check(&f, name, rule.Expr)
		if rule.Record == "" {
			rule.check(&f)
			expressions.WriteString(rule.Expr + "\n")
		}
	}
	for _, metric := range []string{"preceptor_db_refuses_writes", "preceptor_issuer_keys_age_seconds"} {
		if !strings.Contains(expressions.String(), metric) { // nothing else says when these are wrong
			f.addf("no alert is about %s", metric)
		}
	}
	return f
}

func (r alertRule) check(f *faults) {
	if !regexp.MustCompile(`^Preceptor[A-Z]\w+$`).MatchString(r.Alert) || !regexp.MustCompile(`^\d+[mh]$`).MatchString(r.For) {
		f.addf("%q is not the name of an alert, or %q not how long it waits", r.Alert, r.For)
	}
	if severity := r.Labels["severity"]; severity != "page" && severity != "ticket" {
		f.addf("%s has the severity %q", r.Alert, severity)
	}
	if r.Annotations["summary"] == "" {
		f.addf("%s has no summary", r.Alert)
	}
}

// runbookFaults compares the alerts with the sections of the document that says what to do: each has one of
// its name, which its URL leads to, and there are no others.
func runbookFaults(file alertFile, document, module string) []string {
	var f faults
	m := regexp.MustCompile(`(?m)^module (github\.com/\S+)$`).FindStringSubmatch(module)
	if m == nil {
		return []string{"go.mod has no module of github.com"}
	}
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (.+)$`).FindAllStringSubmatch(document, -1) {
		sections[m[1]] = false
	}
	for _, rule := range file.all() {
		if rule.Alert == "" {
			continue
		}
		if _, there := sections[rule.Alert]; !there {
			f.addf("%s has no section %s", runbooks, rule.Alert)
		}
		sections[rule.Alert] = true
		if url := "https://" + m[1] + "/blob/main/" + runbooks + "#" + strings.ToLower(rule.Alert); rule.Annotations["runbook_url"] != url {
			f.addf("%s has the runbook_url %q, not %s", rule.Alert, rule.Annotations["runbook_url"], url)
		}
	}
	for name, used := range sections {
		if !used {
			f.addf("%s: there is no alert %s", runbooks, name)
		}
	}
	slices.Sort(f)
	return f
}

// untested finds alerts that no test expects to fire.
func untested(file alertFile, tests string) []string {
	var f faults
	for _, rule := range file.all() {
		if rule.Alert == "" {
			continue
		}
		fires := regexp.MustCompile(`labels: '\{alertname="` + rule.Alert + `"|alertname: ` + rule.Alert + `\n\s+exp_alerts:\n`)
		if !fires.MatchString(tests) {
			f.addf("no test expects %s to fire", rule.Alert)
		}
	}
	return f
}
