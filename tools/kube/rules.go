package main

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// rule checks a rendering for what no schema can express, and names each offence.
type rule struct {
	name  string
	check func(*cluster) []string
}

func rules() []rule {
	return []rule{
		{"pods are restricted", restricted},
		{"containers say what they are and what they need", bounded},
		{"what runs on is probed", probed},
		{"secrets are referred to, never written down", noLiterals},
		{"what is referred to is there", references},
		{"a rollout has time, and requests are always served", rollouts},
		{"nothing holds up a drain", drains},
		{"services lead to pods", services},
		{"scaling out stays below the database's connections", connections},
		{"certificates name their service", certificates},
		{"policies select something", policies},
		{"monitors find metrics", monitors},
		{"flows are open at both ends, and there are no others", flows},
		{"who signs the Ingress' certificate reaches the pods that prove whose it is", solvers},
	}
}

// rulesOf are the rules for what an overlay renders.
func rulesOf(overlay string) []rule {
	if overlay == store {
		return []rule{{"secrets are referred to, never written down", noLiterals}, {"what was acknowledged is kept", durable}}
	}
	return rules()
}

// faults collects them.
type faults []string

func (f *faults) addf(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// eachContainer checks every container of every workload.
func eachContainer(c *cluster, check func(f *faults, where string, m manifest, each container)) []string {
	var f faults
	for _, m := range c.workloads() {
		for _, each := range m.pod().containers() {
			check(&f, m.String()+"/"+each.Name, m, each)
		}
	}
	return f
}

func restricted(c *cluster) []string {
	f := faults(eachContainer(c, func(f *faults, where string, _ manifest, each container) {
		s := each.SecurityContext
		if !s.ReadOnlyRootFilesystem {
			f.addf("%s may write to its root file system", where)
		}
		if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
			f.addf("%s may gain privileges", where)
		}
		if !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) || len(s.Capabilities.Add) > 0 {
			f.addf("%s has capabilities", where)
		}
	}))
	for _, m := range c.workloads() {
		p := m.pod()
		if !p.SecurityContext.RunAsNonRoot || p.SecurityContext.RunAsUser == 0 {
			f.addf("%s may run as root", m)
		}
		if p.SecurityContext.SeccompProfile.Type != "RuntimeDefault" {
			f.addf("%s has no seccomp profile", m)
		}
		if p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken {
			f.addf("%s is given a token of the cluster", m)
		}
		if p.EnableServiceLinks == nil || *p.EnableServiceLinks {
			f.addf("%s gets variables named after services: ours begin with PRECEPTOR_ too", m)
		}
	}
	return f
}

func bounded(c *cluster) []string {
	return eachContainer(c, func(f *faults, where string, _ manifest, each container) {
		if fault := imageFault(each.Image); fault != "" {
			f.addf("%s: %s", where, fault)
		}
		for _, what := range []string{"cpu", "memory"} {
			if each.Resources.Requests[what] == nil {
				f.addf("%s requests no %s", where, what)
			}
			if each.Resources.Limits[what] == nil {
				f.addf("%s has no limit of %s", where, what)
			}
		}
	})
}

// imageFault returns what is wrong with an image's name, "" when nothing is.
func imageFault(image string) string {
	last := image[strings.LastIndex(image, "/")+1:]
	if strings.Contains(last, "@sha256:") {
		return ""
	}
	name, tag, _ := strings.Cut(last, ":")
	if tag == "" || tag == "latest" || !(container{Image: image}).ours() && !exactTag(name).MatchString(tag) {
		return fmt.Sprintf("image %q is another one tomorrow", image)
	}
	return ""
}

// exactTag matches the tags of an image that name one release. Postgres's have two numbers, those of others three.
func exactTag(name string) *regexp.Regexp {
	if name == "postgres" || name == "postgresql" {
		return regexp.MustCompile(`^[0-9]+\.[0-9]+($|-)`)
	}
	return regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+($|-)`)
}

// probed asks for the three probes of what is to run for ever, on ports that have a name.
func probed(c *cluster) []string {
	return eachContainer(c, func(f *faults, where string, m manifest, each container) {
		if m.Kind == "Job" || m.Kind == "CronJob" {
			return
		}
		probes := map[string]*probe{"startup": each.StartupProbe, "readiness": each.ReadinessProbe, "liveness": each.LivenessProbe}
		for _, kind := range slices.Sorted(maps.Keys(probes)) {
			p := probes[kind]
			if p == nil {
				f.addf("%s has no %s probe", where, kind)
				continue
			}
			for _, at := range []*port{p.HTTPGet, p.TCPSocket} {
				if at != nil && !each.listens(at.Port) {
					f.addf("%s: its %s probe asks port %v, which it does not have", where, kind, at.Port)
				}
			}
		}
	})
}

// listens reports whether the container has a port of that name.
func (c container) listens(name any) bool {
	for _, p := range c.Ports {
		if p.Name == name {
			return true
		}
	}
	return false
}

// noLiterals finds what should be in a Secret, which is not committed.
func noLiterals(c *cluster) []string {
	secret := regexp.MustCompile(`(?i)(password|secret|token|_key|database_url|redis_url)$`)
	login := regexp.MustCompile(`[a-z]://[^/\s]*:[^/\s$]+@`)
	written := func(name, value string) bool {
		isPath := strings.HasPrefix(value, "/") // as of a mounted key
		return value != "" && (secret.MatchString(name) && !isPath || login.MatchString(value))
	}
	f := faults(eachContainer(c, func(f *faults, where string, _ manifest, each container) {
		for _, e := range each.Env {
			if written(e.Name, e.Value) {
				f.addf("%s: variable %s", where, e.Name)
			}
		}
		for _, arg := range each.Args {
			if name, value, _ := strings.Cut(arg, "="); written(name, value) {
				f.addf("%s: argument %s", where, name)
			}
		}
	}))
	for _, m := range c.of("ConfigMap") {
		for name, value := range m.Data {
			if written(name, value) {
				f.addf("%s: %s", m, name)
			}
		}
	}
	for _, m := range c.of("Secret") {
		f.addf("%s is written down", m)
	}
	return f
}

// priorityClass is the one kind beside namespaces that belongs to the whole cluster.
const priorityClass = "PriorityClass"

// references finds names that lead nowhere. Secrets are made by the operator: see missingSecrets.
func references(c *cluster) []string {
	f := faults(eachContainer(c, func(f *faults, where string, _ manifest, each container) {
		for _, from := range each.EnvFrom {
			c.need(f, where, "ConfigMap", from.ConfigMapRef.Name)
		}
	}))
	for _, m := range c.workloads() {
		c.need(&f, m.String(), "ServiceAccount", m.pod().ServiceAccountName)
		for _, v := range m.pod().Volumes {
			if v.ConfigMap != nil {
				c.need(&f, m.String(), "ConfigMap", v.ConfigMap.Name)
			}
			if v.PersistentVolumeClaim != nil {
				c.need(&f, m.String(), "PersistentVolumeClaim", v.PersistentVolumeClaim.ClaimName)
			}
		}
	}
	for _, m := range c.workloads() {
		c.need(&f, m.String(), priorityClass, m.pod().PriorityClassName)
	}
	for _, m := range c.of("HorizontalPodAutoscaler") {
		c.need(&f, m.String(), m.Spec.ScaleTargetRef.Kind, m.Spec.ScaleTargetRef.Name)
	}
	for _, m := range c.of("PodDisruptionBudget") {
		if len(c.selected(m.Spec.Selector["matchLabels"])) != 1 {
			f.addf("%s is not about the pods of one workload", m)
		}
	}
	for _, m := range c.manifests {
		if m.Kind != "Namespace" && m.Kind != priorityClass && m.Metadata.Namespace == "" {
			f.addf("%s has no namespace", m)
		}
	}
	return f
}

// need misses what is named and not there. Nothing need be named.
func (c *cluster) need(f *faults, where, kind, name string) {
	if name != "" && !c.has(kind, name) {
		f.addf("%s: there is no %s %s", where, kind, name)
	}
}

// drain is how long a process of ours takes to stop: unready for a while, then calls in flight,
// then what is left is ended.
const drain = 5 + 20 + 5

func rollouts(c *cluster) []string {
	var f faults
	for _, m := range c.of("Deployment") {
		p := m.pod()
		if !p.Containers[0].ours() {
			continue
		}
		if fmt.Sprint(m.Spec.Strategy.RollingUpdate.MaxUnavailable) != "0" {
			f.addf("%s takes pods away before it has others", m)
		}
		if p.TerminationGracePeriodSeconds < drain {
			f.addf("%s has %d s to stop, and needs %d", m, p.TerminationGracePeriodSeconds, drain)
		}
		scaled := slices.ContainsFunc(c.of("HorizontalPodAutoscaler"), func(hpa manifest) bool { return hpa.Spec.ScaleTargetRef.Name == m.Metadata.Name })
		apart := slices.ContainsFunc(p.TopologySpreadConstraints, func(s spread) bool {
			return s.TopologyKey == "kubernetes.io/hostname" && (s.WhenUnsatisfiable == "DoNotSchedule" || !scaled)
		})
		if !apart {
			f.addf("%s may have all its pods on one node", m)
		}
	}
	return f
}

// drains finds disruption budgets that may leave no pod to take away: whoever drains a node waits for ever then.
func drains(c *cluster) []string {
	var f faults
	for _, m := range c.of("PodDisruptionBudget") {
		if n, err := strconv.Atoi(fmt.Sprint(m.Spec.MaxUnavailable)); err != nil || n < 1 {
			f.addf("%s allows %v pods to be away", m, m.Spec.MaxUnavailable)
		}
		if m.Spec.UnhealthyPodEvictionPolicy != "AlwaysAllow" {
			f.addf("%s keeps pods that are not ready", m)
		}
	}
	return f
}

// selected are the workloads whose pods have all of the labels.
func (c *cluster) selected(labels any) []manifest {
	var found []manifest
	wanted, _ := labels.(map[string]any)
	for _, m := range c.workloads() {
		all := len(wanted) > 0
		for key, value := range wanted {
			all = all && m.labels()[key] == value
		}
		if all {
			found = append(found, m)
		}
	}
	return found
}

func services(c *cluster) []string {
	var f faults
	for _, m := range c.of("Service") {
		behind := c.selected(m.Spec.Selector)
		if len(behind) != 1 {
			f.addf("%s leads to the pods of %d workloads", m, len(behind))
			continue
		}
		for _, p := range m.Spec.Ports {
			if !behind[0].pod().Containers[0].listens(p.TargetPort) {
				f.addf("%s: there is no port of that name: %v", m, p.TargetPort)
			}
			if p.Name == "grpc" && m.Spec.ClusterIP != "None" {
				f.addf("%s is not headless: all calls of a connection would go to one pod", m)
			}
		}
	}
	return f
}

// certificates finds those that a Deployment mounts and that say nothing of it.
func certificates(c *cluster) []string {
	var f faults
	for _, m := range c.of("Deployment") {
		for _, v := range m.pod().Volumes {
			if v.Name != "tls" || v.Projected == nil || len(v.Projected.Sources) == 0 {
				continue
			}
			secret := v.Projected.Sources[0].Secret.Name
			i := slices.IndexFunc(c.of("Certificate"), func(cert manifest) bool { return cert.Spec.SecretName == secret })
			if i < 0 {
				f.addf("%s: nothing makes the certificate in %s", m, secret)
			} else if cert := c.of("Certificate")[i]; !slices.Equal(cert.Spec.DNSNames, []string{"preceptor-" + m.component()}) {
				f.addf("%s names %v, and is shown by %s", cert, cert.Spec.DNSNames, m.component())
			}
		}
	}
	return f
}

// secretsScript is what the script in a folder prints.
func secretsScript(ctx context.Context, folder string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, folder+"/secrets.sh").Output()
	if err != nil {
		return nil, fmt.Errorf("secrets.sh: %w", err)
	}
	return out, nil
}

// printedSecrets are the keys of the Secrets that the script makes.
func printedSecrets(ctx context.Context, folder string) (map[string][]string, error) {
	out, err := secretsScript(ctx, folder)
	if err != nil {
		return nil, err
	}
	given := map[string][]string{}
	for part := range strings.SplitSeq(string(out), "---\n") {
		var m manifest
		if err := yaml.Unmarshal([]byte(part), &m); err != nil {
			return nil, fmt.Errorf("secrets.sh: %w", err)
		}
		if m.Kind == "Secret" {
			given[m.Metadata.Name] = slices.Collect(maps.Keys(m.StringData))
		}
	}
	return given, nil
}

// missingSecrets finds references to Secrets that are not among the given ones.
func missingSecrets(c *cluster, given map[string][]string) []string {
	return eachContainer(c, func(f *faults, where string, _ manifest, each container) {
		for _, from := range each.EnvFrom {
			if name := from.SecretRef.Name; name != "" && given[name] == nil {
				f.addf("%s: nothing makes Secret %s", where, name)
			}
		}
		for _, e := range each.Env {
			if e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil {
				continue
			}
			if ref := e.ValueFrom.SecretKeyRef; !slices.Contains(given[ref.Name], ref.Key) {
				f.addf("%s: nothing makes Secret %s with key %s", where, ref.Name, ref.Key)
			}
		}
	})
}
