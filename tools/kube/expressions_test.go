package main

import (
	"maps"
	"os"
	"strings"
	"testing"
)

// TestTelemetry makes mistakes in the dashboard, the alerts and the table of metrics, one at a time.
func TestTelemetry(t *testing.T) {
	text := map[string]string{}
	for _, name := range telemetryFiles() {
		b, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		text[name] = string(b)
	}
	const dashboard, alerts = dashboardFile, alertsFile
	for _, tc := range []struct{ name, file, old, replacement, want string }{
		{"nothing", operations, "#", "#", ""},
		{"metric of no table", operations, "| `preceptor_ready` |", "| `preceptor_steady` |", "lists no metric preceptor_ready"},
		{"metric of no panel", dashboard, "preceptor_watchers", "preceptor_watcher", "lists no metric preceptor_watcher"},
		{"histogram without a series", dashboard, "preceptor_commit_jobs_sum", "preceptor_commit_jobs", "lists no metric preceptor_commit_jobs"},
		{"series of no histogram", operations, "| histogram: writes in one", "| writes in one", "lists no metric preceptor_commit_jobs_sum"},
		{"runtime's metric", dashboard, "go_goroutines", "go_goroutine", "lists no metric go_goroutine"},
		{"panel without a metric", dashboard, "go_goroutines", "vector(1) + 1 #", "names no metric"},
		{"panel without a title", dashboard, `"title": "Goroutines"`, `"title": ""`, "has no title"},
		{"not PromQL", alerts, "preceptor_ready == 0", "preceptor_ready = 0", "PreceptorNotReady"},
		{"metric of no alert", alerts, "preceptor_ready == 0", "preceptor_readies == 0", "lists no metric preceptor_readies"},
		{"no alert of a full disk", alerts, "preceptor_db_refuses_writes", "preceptor_ready", "no alert is about preceptor_db_refuses_writes"},
		{"no alert of an empty key set", alerts, "preceptor_issuer_keys_age_seconds", "preceptor_ready", "no alert is about preceptor_issuer_keys_age_seconds"},
		{"full disk on no panel", dashboard, "preceptor_db_refuses_writes", "preceptor_ready", "no panel shows preceptor_db_refuses_writes"},
		{"histogram on no panel", operations, "| `preceptor_ready` |", "| `preceptor_new_seconds` | | histogram |\n| `preceptor_ready` |", "no panel shows preceptor_new_seconds_bucket"},
		{"metric of another's table", operations, "| `kube_job_failed` |", "| `kube_job_fails` |", "lists no metric kube_job_failed"},
		{"recorded under another name", alerts, "record: preceptor:v1_errors:rate1h", "record: preceptor:v1_errors:rate1d", "lists no metric preceptor:v1_errors:rate1h"},
		{"no runbook", runbooks, "### PreceptorSweep\n", "### The sweep\n", "has no section PreceptorSweep"},
		{"runbook of no alert", runbooks, "### PreceptorSweep\n", "### PreceptorSweeps\n\n### PreceptorSweep\n", "there is no alert PreceptorSweeps"},
		{"runbook of another", alerts, "#preceptorsweep", "#preceptordown", "has the runbook_url"},
		{"untested", testFiles()[0], `labels: '{alertname="PreceptorVolumeFull"`, `labels: '{alertname="PreceptorVolume"`, "no test expects PreceptorVolumeFull to fire"},
		{"the operator's rules", rulesFile, "for: 2m", "for: 3m", "run make alerts"},
		{"severity", alerts, "severity: page", "severity: whisper", `the severity "whisper"`},
		{"wait", alerts, "for: ", "for: about ", "not how long it waits"},
		{"unknown field", alerts, "expr: ", "expression: ", "unknown field"},
	} {
		changed := maps.Clone(text)
		if !strings.Contains(changed[tc.file], tc.old) {
			t.Fatalf("%s: %s has no %q to replace", tc.name, tc.file, tc.old)
		}
		changed[tc.file] = strings.ReplaceAll(changed[tc.file], tc.old, tc.replacement)
		found := strings.Join(telemetryFaultsIn(changed), "\n")
		if !strings.Contains(found, tc.want) || (tc.want == "") != (found == "") {
			t.Errorf("%s: found %q, want %q", tc.name, found, tc.want)
		}
	}
}
