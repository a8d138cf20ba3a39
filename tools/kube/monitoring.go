package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Prometheus' rules, and the same as its operator takes them.
const (
	alertsFile = "deploy/prometheus/alerts.yaml"
	rulesFile  = "deploy/k8s/components/monitoring/rules.yaml"

	dashboardFile = "deploy/grafana/preceptor.json"
)

// operatorRules returns the rules of a file as a manifest.
func operatorRules(alerts []byte) ([]byte, error) {
	_, groups, ok := bytes.Cut(alerts, []byte("\ngroups:\n"))
	if !ok {
		return nil, errors.New(alertsFile + " has no groups")
	}
	out := []byte("# Made of " + alertsFile + " by make alerts.\n" +
		"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: preceptor\nspec:\n  groups:\n")
	for line := range bytes.Lines(groups) {
		if len(bytes.TrimSpace(line)) > 0 {
			line = append([]byte("  "), line...)
		}
		out = append(out, line...)
	}
	return out, nil
}

// writeRules writes the manifest.
func writeRules(_ context.Context, root string, _ io.Writer) error {
	alerts, err := os.ReadFile(filepath.Join(root, alertsFile))
	if err != nil {
		return err
	}
	text, err := operatorRules(alerts)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, rulesFile), text, 0o644) //nolint:gosec // as any file of the repository
}

// rulesFaults compares the manifest with the rules.
func rulesFaults(alerts, manifest string) []string {
	text, err := operatorRules([]byte(alerts))
	switch {
	case err != nil:
		return []string{err.Error()}
	case string(text) != manifest:
		return []string{rulesFile + " is not made of the present " + alertsFile + ": run make alerts"}
	}
	return nil
}

// monitors finds PodMonitors that are about other pods than ours, or about a port that these do not have.
func monitors(c *cluster) []string {
	var f faults
	for _, m := range c.of("PodMonitor") {
		var found []string
		for _, w := range c.monitored(m) {
			found = append(found, w.component())
			for _, at := range m.Spec.PodMetricsEndpoints {
				if !w.pod().Containers[0].listens(at.Port) {
					f.addf("%s: %s has no port %s", m, w, at.Port)
				}
			}
		}
		slices.Sort(found)
		if want := []string{catalog, gateway, profile, progress}; !slices.Equal(found, want) {
			f.addf("%s is about %s", m, strings.Join(found, ", "))
		}
	}
	return f
}

// monitored are the workloads whose pods a PodMonitor selects.
func (c *cluster) monitored(m manifest) []manifest {
	var found []manifest
	for _, w := range c.workloads() {
		if m.podSelector().matches(w.labels()) {
			found = append(found, w)
		}
	}
	return found
}

// podSelector is the selector of a kind that has one of labels.
func (m manifest) podSelector() selector {
	var s selector
	text, err := yaml.Marshal(m.Spec.Selector)
	if err != nil || yaml.Unmarshal(text, &s) != nil {
		return selector{}
	}
	return s
}
