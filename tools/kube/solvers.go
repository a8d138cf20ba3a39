package main

import (
	"maps"
	"slices"
	"strings"
)

// solverLabel is on the pods that cert-manager makes beside an Ingress to get its certificate by HTTP-01. They listen
// on solverPort, and are reached by way of the Ingress.
const (
	solverLabel = "acme.cert-manager.io/http01-solver"
	solverPort  = 8089
)

// certified are the Ingresses whose certificates cert-manager gets.
func (c *cluster) certified() []manifest {
	return slices.DeleteFunc(c.of("Ingress"), func(m manifest) bool {
		return m.Metadata.Annotations["cert-manager.io/cluster-issuer"]+m.Metadata.Annotations["cert-manager.io/issuer"] == ""
	})
}

// solvers finds namespaces that may reach the gateway, as an Ingress controller does, and not the solver's pods.
func solvers(c *cluster) []string {
	var f faults
	if len(c.certified()) == 0 {
		return f
	}
	closed := c.admitted(map[string]string{"app.kubernetes.io/component": gateway}, 8080)
	if len(closed) == 0 {
		f.addf("no namespace reaches the gateway")
	}
	for namespace := range c.admitted(map[string]string{solverLabel: "true"}, solverPort) {
		delete(closed, namespace)
	}
	for _, namespace := range slices.Sorted(maps.Keys(closed)) {
		f.addf("namespace %s reaches the gateway, and not pods with %s at %d: HTTP-01 would fail", namespace, solverLabel, solverPort)
	}
	return f
}

// admitted are the namespaces that may connect to pods with these labels, at that port.
func (c *cluster) admitted(labels map[string]string, port int) map[string]bool {
	found := map[string]bool{}
	for _, m := range c.of("NetworkPolicy") {
		if !m.Spec.PodSelector.matches(labels) {
			continue
		}
		for _, w := range m.Spec.Ingress {
			for _, e := range w.From {
				if e.NamespaceSelector != nil && w.opens(port) {
					found[strings.Join(slices.Sorted(maps.Values(e.NamespaceSelector.MatchLabels)), ",")] = true
				}
			}
		}
	}
	return found
}

// opens reports whether the port is among the rule's.
func (w policyRule) opens(port int) bool {
	for _, p := range w.Ports {
		if p.Port == port {
			return true
		}
	}
	return false
}
