package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Health shows whether the process is ready, and for each of its dependencies whether it is missing. read
// is called once whenever the page is read; it may name dependencies that are not among those given.
func (r *Registry) Health(dependencies []string, read func() (ready bool, missing []string)) {
	if r == nil {
		return
	}
	r.prom.MustRegister(&healthCollector{
		dependencies: slices.Clone(dependencies), read: read,
		ready: prometheus.NewDesc("preceptor_ready", "Whether /readyz sends requests here: 1 or 0.", nil, nil),
		missing: prometheus.NewDesc("preceptor_degraded_dependencies",
			"Whether a dependency is missing, be it done without or waited for: 1 or 0.", []string{"dependency"}, nil),
	})
}

type healthCollector struct {
	dependencies   []string
	read           func() (ready bool, missing []string)
	ready, missing *prometheus.Desc
}

// Describe sends what there is to show.
func (c *healthCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.ready
	to <- c.missing
}

// Collect sends what there is now.
func (c *healthCollector) Collect(to chan<- prometheus.Metric) {
	ready, missing := c.read()
	to <- prometheus.MustNewConstMetric(c.ready, prometheus.GaugeValue, oneIf(ready))
	all := slices.Concat(c.dependencies, missing)
	slices.Sort(all)
	for _, name := range slices.Compact(all) {
		to <- prometheus.MustNewConstMetric(c.missing, prometheus.GaugeValue, oneIf(slices.Contains(missing, name)), name)
	}
}

func oneIf(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}
