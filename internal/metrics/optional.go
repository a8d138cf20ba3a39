package metrics

import "github.com/prometheus/client_golang/prometheus"

// GaugeWhile is Gauge for a value that is absent from the page at times: while read returns false.
func (r *Registry) GaugeWhile(name, help string, labels Labels, read func() (value float64, shown bool)) {
	if r != nil {
		r.prom.MustRegister(&optional{prometheus.NewDesc(name, help, nil, labels), read})
	}
}

type optional struct {
	desc *prometheus.Desc
	read func() (value float64, shown bool)
}

// Describe sends what there is to show.
func (o *optional) Describe(to chan<- *prometheus.Desc) { to <- o.desc }

// Collect sends the value, if there is one now.
func (o *optional) Collect(to chan<- prometheus.Metric) {
	if value, shown := o.read(); shown {
		to <- prometheus.MustNewConstMetric(o.desc, prometheus.GaugeValue, value)
	}
}
