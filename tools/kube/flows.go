package main

import (
	"fmt"
	"iter"
	"maps"
	"slices"
)

// selector is a label selector. An empty one selects everything.
type selector struct {
	MatchLabels      map[string]string `json:"matchLabels"`
	MatchExpressions []struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	} `json:"matchExpressions"`
}

func (s selector) matches(labels map[string]string) bool {
	for key, value := range s.MatchLabels {
		if labels[key] != value {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		if e.Operator != "In" || !slices.Contains(e.Values, labels[e.Key]) {
			return false
		}
	}
	return true
}

// policyRule is one rule of a NetworkPolicy: the peers, and their ports.
type policyRule struct {
	From  []end `json:"from"`
	To    []end `json:"to"`
	Ports []struct {
		Port int `json:"port"`
	} `json:"ports"`
}

// end is a peer: pods of this namespace if it names no namespace and no addresses.
type end struct {
	PodSelector       *selector `json:"podSelector"`
	NamespaceSelector *selector `json:"namespaceSelector"`
	IPBlock           *ipBlock  `json:"ipBlock"`
}

type ipBlock struct {
	CIDR string `json:"cidr"`
}

func (e end) outside() bool { return e.NamespaceSelector != nil || e.IPBlock != nil }

// pods are the components that a selector selects. Jobs that are applied by themselves, and pods of cert-manager,
// are known by their label, though no rendering of the rollout has them.
func (c *cluster) pods(s selector) []string {
	found := map[string]bool{}
	for _, m := range c.workloads() {
		if s.matches(m.labels()) {
			found[m.component()] = true
		}
	}
	if s.matches(map[string]string{"app.kubernetes.io/component": migrate}) && len(found) > 0 {
		found["migrate"] = true
	}
	if s.matches(map[string]string{solverLabel: "true"}) && len(c.certified()) > 0 {
		found["acme-solver"] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// policies finds those that select no pod, or that name no peer.
func policies(c *cluster) []string {
	var f faults
	all := c.of("NetworkPolicy")
	if len(all) == 0 && len(c.of("Deployment")) > 0 {
		f.addf("there are none")
	}
	for _, m := range all {
		if len(c.pods(m.Spec.PodSelector)) == 0 {
			f.addf("%s is about no pod", m)
		}
		for _, w := range slices.Concat(m.Spec.Ingress, m.Spec.Egress) {
			ends := slices.Concat(w.From, w.To)
			if len(ends) == 0 || len(w.Ports) == 0 {
				f.addf("%s has a rule for everybody, or for every port", m)
			}
			for _, e := range ends {
				if !e.outside() && (e.PodSelector == nil || len(c.pods(*e.PodSelector)) == 0) {
					f.addf("%s leads to no pod", m)
				}
			}
		}
	}
	return f
}

// The components, as labels and names spell them.
const (
	gateway  = "gateway"
	profile  = "profile"
	catalog  = "catalog"
	progress = "progress"
	migrate  = "migrate"
	postgres = "postgres"
	redis    = "redis"
	verify   = "verify"
)

// flow is a connection that one component opens to another.
type flow struct {
	from, to string
	port     int
}

func (r flow) String() string { return fmt.Sprintf("%s -> %s:%d", r.from, r.to, r.port) }

// wanted returns all flows between the components. docs/kubernetes.md has the same as a picture.
func wanted() []flow {
	return []flow{
		{gateway, profile, 7001},
		{gateway, catalog, 7002},
		{gateway, progress, 7003},
		{profile, catalog, 7002},
		{catalog, progress, 7003},
		{progress, profile, 7001},
		{progress, catalog, 7002},
		{profile, postgres, 5432},
		{catalog, postgres, 5432},
		{progress, postgres, 5432},
		{migrate, postgres, 5432},
		{progress, redis, 6379},
		{verify, gateway, 8080},
	}
}

// flows compares what the policies allow among the pods with what is wanted, at both ends. The
// databases of production are outside, so that there only the others are compared.
func flows(c *cluster) []string {
	var f faults
	if len(c.of("NetworkPolicy")) == 0 {
		return f
	}
	if !slices.ContainsFunc(c.of("NetworkPolicy"), manifest.deniesAll) {
		f.addf("no policy denies what no other one allows")
	}
	want := slices.DeleteFunc(wanted(), func(r flow) bool { return !c.runs(r.from) || !c.runs(r.to) })
	begin, end := c.open()
	for _, side := range []struct {
		name string
		open map[flow]bool
	}{{"where it begins", begin}, {"where it ends", end}} {
		for _, r := range want {
			if !side.open[r] {
				f.addf("%s is closed %s", r, side.name)
			}
		}
		for r := range side.open {
			if !slices.Contains(want, r) {
				f.addf("%s is open %s, and not needed", r, side.name)
			}
		}
	}
	slices.Sort(f)
	return f
}

// deniesAll reports whether a policy closes everything that no other policy opens.
func (m manifest) deniesAll() bool {
	s := m.Spec
	return len(s.PodSelector.MatchLabels)+len(s.PodSelector.MatchExpressions) == 0 &&
		len(s.PolicyTypes) == 2 && len(s.Ingress)+len(s.Egress) == 0
}

// runs reports whether the rendering has pods of the component.
func (c *cluster) runs(component string) bool {
	return slices.ContainsFunc(c.workloads(), func(m manifest) bool { return m.component() == component })
}

// open returns the flows that the policies allow at their start, and at their end.
func (c *cluster) open() (begin, end map[flow]bool) {
	begin, end = map[flow]bool{}, map[flow]bool{}
	for _, m := range c.of("NetworkPolicy") {
		here := c.pods(m.Spec.PodSelector)
		for _, w := range m.Spec.Egress {
			for there, port := range c.others(w.To, w) {
				for _, from := range here {
					begin[flow{from, there, port}] = true
				}
			}
		}
		for _, w := range m.Spec.Ingress {
			for there, port := range c.others(w.From, w) {
				for _, to := range here {
					end[flow{there, to, port}] = true
				}
			}
		}
	}
	return begin, end
}

// others are the components among the ends of a rule, with each of its ports.
func (c *cluster) others(ends []end, w policyRule) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for _, e := range ends {
			if e.outside() || e.PodSelector == nil {
				continue
			}
			for _, component := range c.pods(*e.PodSelector) {
				for _, p := range w.Ports {
					if !yield(component, p.Port) {
						return
					}
				}
			}
		}
	}
}
