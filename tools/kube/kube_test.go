package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rendered is what an overlay renders, with old in it replaced by what should be noticed.
func rendered(t *testing.T, overlay, old, replacement string) string {
	t.Helper()
	text, err := render(folder("../..", overlay))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q to replace", overlay, old)
	}
	return strings.Replace(string(text), old, replacement, 1)
}

func apart(t *testing.T, text string) *cluster {
	t.Helper()
	c, err := read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRules breaks each rule, and expects it to say so.
func TestRules(t *testing.T) {
	for _, tc := range []struct {
		name              string
		check             func(*cluster) []string
		overlay, old, new string
		want              string
	}{
		{"root", restricted, "production", "runAsNonRoot: true", "runAsNonRoot: false", "may run as root"},
		{"seccomp", restricted, "production", "type: RuntimeDefault", "type: Unconfined", "no seccomp profile"},
		{"token", restricted, "dev", "      automountServiceAccountToken: false\n", "", "a token of the cluster"},
		{"links", restricted, "production", "enableServiceLinks: false", "enableServiceLinks: true", "variables named after services"},
		{"file system", restricted, "dev", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "may write"},
		{"capabilities", restricted, "production/migrate", "- ALL", "- NET_RAW", "has capabilities"},
		{"latest", bounded, "production", "registry.example.org/preceptor:v0.1.0", "registry.example.org/preceptor:latest", "tomorrow"},
		// The rest of the line is a comment then, whatever it is.
		{"no tag", bounded, "dev", "image: redis:", "image: redis #", "tomorrow"},
		{"a tag of many releases", bounded, "dev", "image: redis:", "image: redis:7.4 #", "tomorrow"},
		{"a tag of many releases of Postgres", bounded, "dev", "image: postgres:", "image: postgres:17 #", "tomorrow"},
		{"limits", bounded, "production", "limits:", "bounds:", "no limit of memory"},
		{"probe", probed, "production", "startupProbe:", "beginProbe:", "no startup probe"},
		{"probe's port", probed, "production", "port: health", "port: healthy", "which it does not have"},
		{"variable", noLiterals, "production", "PRECEPTOR_LOG_FORMAT: json", "ADMIN_PASSWORD: hunter2", "ADMIN_PASSWORD"},
		{"login", noLiterals, "production", "PRECEPTOR_LOG_FORMAT: json", "WHERE: postgres://me:secret@db/x", "WHERE"},
		{"secret", noLiterals, "production", "kind: PodDisruptionBudget", "kind: Secret", "written down"},
		{"config", references, "production", "name: preceptor-settings", "name: preceptor-elsewhere", "there is no ConfigMap"},
		{"account", references, "dev", "serviceAccountName: preceptor-catalog", "serviceAccountName: nobody", "there is no ServiceAccount nobody"},
		{"rollout", rollouts, "production", "maxUnavailable: 0", "maxUnavailable: 1", "before it has others"},
		{"grace", rollouts, "production", "terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 20", "20 s to stop"},
		{"a node for all", rollouts, "production", "whenUnsatisfiable: DoNotSchedule", "whenUnsatisfiable: ScheduleAnyway", "all its pods on one node"},
		{"drain", drains, "production", "maxUnavailable: 1\n", "maxUnavailable: 0\n", "allows 0 pods to be away"},
		{"drain of the unready", drains, "production", "unhealthyPodEvictionPolicy: AlwaysAllow", "unhealthyPodEvictionPolicy: IfHealthyBudget", "not ready"},
		{"priority", references, "production", "priorityClassName: preceptor", "priorityClassName: other", "there is no PriorityClass other"},
		{"service", services, "production", "targetPort: grpc", "targetPort: http", "no port of that name"},
		{"headless", services, "production", "clusterIP: None", "clusterIP: 10.0.0.7", "not headless"},
		{"connections", connections, "production", "maxReplicas: 10", "maxReplicas: 20", "scaled out there may be"},
		// Three pods of each still stop, with their connections: 265 without them.
		{"connections of pods that stop", connections, "production", `postgres.preceptor.dev/main: "380"`, `postgres.preceptor.dev/main: "360"`, "main takes 360 connections, and scaled out there may be 361"},
		{"a server of nobody's", connections, "dev", "preceptor.dev/postgres: trial", "preceptor.dev/redis: trial", "cannot be read"},
		{"unknown limit", connections, "production", "postgres.preceptor.dev/main", "postgres.preceptor.dev/other", "does not say"},
		{"certificate", certificates, "production", "dnsNames:\n  - preceptor-progress", "dnsNames:\n  - preceptor-profile", "is shown by progress"},
		{"a database's authority", unverifiedDatabases, "production", "secretName: preceptor-database-ca", "secretName: preceptor-profile-tls", "to verify its database by"},
		{"a migration's authority", unverifiedDatabases, "production/migrate", "mountPath: /database", "mountPath: /elsewhere", "to verify its database by"},
		{"policy about no pod", policies, "production", "podSelector:\n    matchLabels:\n      app.kubernetes.io/component: gateway", "podSelector:\n    matchLabels:\n      app.kubernetes.io/component: nothing", "is about no pod"},
		{"HTTP-01", solvers, "production", "port: 8089", "port: 8090", "HTTP-01 would fail"},
		{"HTTP-01 by way of another Ingress", solvers, "small", "kubernetes.io/metadata.name: traefik\n    ports:\n    - port: 8089", "kubernetes.io/metadata.name: nginx\n    ports:\n    - port: 8089", "namespace traefik reaches the gateway"},
		{"a commit without a standby", durable, store, "method: any", "method: first", "does not wait"},
		{"two instances", durable, store, "instances: 3", "instances: 2", "does not wait"},
		{"a commit while no standby is there", durable, store, "dataDurability: required", "dataDurability: preferred", "goes on without"},
		{"any standby takes over", durable, store, "failoverQuorum: true", "failoverQuorum: false", "lacks something"},
		{"Postgres' image", durable, store, "postgresql:17.6-system-trixie", "postgresql:17", "tomorrow"},
		{"Postgres in the clear", durable, store, "hostnossl all", "host all", "in the clear"},
		{"Postgres behind a policy", durable, store, "kubernetes.io/metadata.name: preceptor\n", "kubernetes.io/metadata.name: other\n", "lets the services in"},
		{"an archive that is not there", durable, store, "barmanObjectName: main-archive", "barmanObjectName: other", "archives no write-ahead log"},
		{"a backup of another", durable, store, "cluster:\n    name: main", "cluster:\n    name: other", "is not backed up"},
		{"port of a monitor", monitors, "monitored", "- interval: 15s\n    port: metrics", "- interval: 15s\n    port: metric", "has no port metric"},
		{"monitor of other pods", monitors, "monitored", "- progress\n      - gateway\n    matchLabels", "- gateway\n    matchLabels", "PodMonitor preceptor is about catalog, gateway, profile"},
		{"default deny", flows, "production", "name: default-deny\n  namespace: preceptor\nspec:\n  podSelector: {}\n  policyTypes:\n  - Ingress\n", "name: default-deny\nspec:\n  podSelector: {}\n  policyTypes:\n", "no policy denies"},
		{"closed flow", flows, "dev", "port: 6379\n      protocol: TCP", "port: 6380\n      protocol: TCP", "progress -> redis:6379 is closed"},
		{"a verification without the gateway", flows, variants, "name: from-verify\n  namespace: preceptor\nspec:\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app.kubernetes.io/component: verify", "name: from-verify\n  namespace: preceptor\nspec:\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app.kubernetes.io/component: migrate", "verify -> gateway:8080 is closed"},
		{"needless flow", flows, "production", "- gateway\n          - catalog", "- gateway\n          - catalog\n          - profile", "profile -> progress:7003 is open"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if found := tc.check(apart(t, rendered(t, tc.overlay, tc.old, tc.new))); !strings.Contains(strings.Join(found, "\n"), tc.want) {
				t.Errorf("found %q, want %q", found, tc.want)
			}
		})
	}
}

// TestMostPods counts those that stop beside those that run.
func TestMostPods(t *testing.T) {
	for _, tc := range []struct {
		replicas, pace int
		surge          any
		want           int
	}{{1, 10, 1, 1 + 1 + 1}, {0, 10, 1, 1 + 1 + 1}, {10, 10, 1, 10 + 1 + 3}, {10, 5, 2, 10 + 2 + 5}, {10, 30, 1, 10 + 1 + 1}, {10, 0, 1, 10 + 1 + 10}} {
		var m manifest
		m.Spec.Replicas, m.Spec.MinReadySeconds, m.Spec.Strategy.RollingUpdate.MaxSurge = tc.replicas, tc.pace, tc.surge
		if got, err := (&cluster{}).mostPods(m); got != tc.want || err != nil {
			t.Errorf("%+v: %d pods, %v", tc, got, err)
		}
	}
	var m manifest
	m.Spec.Strategy.RollingUpdate.MaxSurge = "25%"
	if _, err := (&cluster{}).mostPods(m); err == nil {
		t.Error("a share of the pods is taken for a number")
	}
}

// TestEgress expects the connections that each component of that name opens, and that traces are then sent.
func TestEgress(t *testing.T) {
	for _, tc := range []struct {
		overlay, policy, address, namespace string
		port                                int
	}{
		{production, "dns", "", "kube-system", 53},
		{production, "to-issuer", "0.0.0.0/0", "", 443},
		{variants, "dns", "", "kube-system", 53},
		{variants, "dns", "169.254.20.10/32", "", 53},
		{variants, "to-issuer", "0.0.0.0/0", "", 8443},
		{variants, "to-collector", "", "monitoring", 4317},
		{openshift, "dns", "", "openshift-dns", 5353},
		{openshift, "to-issuer", "", "keycloak", 8443},
	} {
		found := false
		for _, m := range apart(t, rendered(t, tc.overlay, "kind", "kind")).of("NetworkPolicy") {
			for _, w := range m.Spec.Egress {
				for _, e := range w.To {
					there := e.IPBlock != nil && e.IPBlock.CIDR == tc.address ||
						e.NamespaceSelector != nil && e.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] == tc.namespace
					found = found || there && m.Metadata.Name == tc.policy && w.opens(tc.port)
				}
			}
		}
		if !found {
			t.Errorf("%s: %s does not lead to %s%s:%d", tc.overlay, tc.policy, tc.namespace, tc.address, tc.port)
		}
	}
	for overlay, want := range map[string]string{production: "", variants: "collector.monitoring:4317"} {
		c := apart(t, rendered(t, overlay, "kind", "kind"))
		for _, p := range c.processes() {
			if p.args[0] != "serve" {
				continue
			}
			if got := p.env["PRECEPTOR_OTLP_ENDPOINT"]; got != want {
				t.Errorf("%s: %s sends traces to %q", overlay, p.name, got)
			}
		}
	}
}

// TestOverlays holds what is rendered to every rule.
func TestOverlays(t *testing.T) {
	for _, name := range overlays() {
		c := apart(t, rendered(t, name, "kind", "kind"))
		for _, rule := range rulesOf(name) {
			for _, fault := range rule.check(c) {
				t.Errorf("%s: %s: %s", name, rule.name, fault)
			}
		}
	}
}

func TestSchemas(t *testing.T) {
	s, err := newSchemas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, tc := range []struct{ name, overlay, old, replacement, want string }{
		{"nothing", production, "kind", "kind", ""},
		{"unknown field", production, "minReadySeconds: 10", "minimalReadySeconds: 10", "minimalReadySeconds"},
		{"wrong type", production, "minReadySeconds: 10", `minReadySeconds: "10"`, "minReadySeconds"},
		{"unknown field of a certificate", production, "duration: 720h", "lasts: 720h", "lasts"},
		{"missing field of a certificate", production, "secretName: preceptor-profile-tls\n  ", "secretNames: x\n  ", "secretName"},
		{"unknown field of a Postgres", store, "walStorage:", "walStorages:", "walStorages"},
		{"wrong type in a Postgres", store, "instances: 3", "instances: three", "instances"},
		{"unknown compression of an archive", store, "compression: zstd", "compression: zip", "compression"},
		{"unknown field of a backup", store, "immediate: true", "atOnce: true", "atOnce"},
		{"unknown kind", production, "kind: PodDisruptionBudget", "kind: PodDisruptionBudge", "could not find schema"},
	} {
		found := strings.Join(s.faults([]byte(rendered(t, tc.overlay, tc.old, tc.replacement))), "\n")
		if !strings.Contains(found, tc.want) || (tc.want == "") != (found == "") {
			t.Errorf("%s: found %q, want %q", tc.name, found, tc.want)
		}
	}
}

func TestSecrets(t *testing.T) {
	given, err := printedSecrets(t.Context(), folder("../..", "dev"))
	if err != nil {
		t.Fatal(err)
	}
	c := apart(t, rendered(t, "dev", "kind", "kind"))
	if found := missingSecrets(c, given); len(found) > 0 {
		t.Error(found)
	}
	delete(given, "preceptor-progress-redis")
	if found := missingSecrets(c, given); len(found) != 1 {
		t.Errorf("found %q, want one that is missing", found)
	}
}

// TestProcesses checks arguments that the program does not know.
func TestProcesses(t *testing.T) {
	p := &program{commands: map[string]bool{"serve": true}, flags: map[string]bool{"serve --listen": true}}
	for _, tc := range []struct {
		of   process
		want string
	}{
		{process{name: "a", args: []string{"server"}}, "no command"},
		{process{name: "a", args: []string{"serve", "catalog", "--listens=:1"}}, "no flag --listens"},
		{process{name: "a", args: []string{"serve"}, env: map[string]string{"PRECEPTOR_LISTENS": ":1"}}, "no flag for the variable PRECEPTOR_LISTENS"},
	} {
		if found := p.check(t.Context(), tc.of); !strings.Contains(strings.Join(found, "\n"), tc.want) {
			t.Errorf("found %q, want %q", found, tc.want)
		}
	}
}

func TestDockerfile(t *testing.T) {
	good, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, old, replacement, want string }{
		{"nothing", "FROM", "FROM", ""},
		{"base", "FROM scratch", "FROM debian", "made from debian"},
		{"a tag of many releases", "golang:1.26.", "golang:1.26-", "tomorrow"},
		{"user", "USER 65532:65532", "USER root", "USER root"},
		{"shell", `ENTRYPOINT ["/preceptor"]`, "ENTRYPOINT /preceptor", "ENTRYPOINT needs a shell"},
		{"health", "HEALTHCHECK", "# HEALTHCHECK", "there is no HEALTHCHECK"},
		{"no sources", "org.opencontainers.image.source=", "source=", "image.source is"},
		{"a time that is written down", `"$CREATED"`, `"2026-01-01T00:00:00Z"`, "image.created is"},
		{"another build", "make build", "go build", "not built by make build"},
		{"no instruction", "WORKDIR /src", "WORKDIRS /src", "unknown instruction"},
	} {
		path := filepath.Join(t.TempDir(), "Dockerfile")
		if err := os.WriteFile(path, []byte(strings.Replace(string(good), tc.old, tc.replacement, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		faults, err := dockerfileFaults(path)
		if err != nil {
			t.Fatal(err)
		}
		if found := strings.Join(faults, "\n"); !strings.Contains(found, tc.want) || (tc.want == "") != (found == "") {
			t.Errorf("%s: found %q, want %q", tc.name, found, tc.want)
		}
	}
}

func TestCompose(t *testing.T) {
	for _, tc := range []struct{ name, old, replacement, want string }{
		{"nothing", "services:", "services:", ""},
		{"unknown field", "stop_grace_period: 45s", "stop_grace: 45s", "stop_grace"},
		{"a port of all interfaces", "- 127.0.0.1:${PRECEPTOR_PORT:-8080}:8080", "- 8080:8080", "from other machines"},
		{"unknown service", "migrate-profile:\n        condition", "migrate-profiles:\n        condition", "migrate-profiles"},
		{"unset variable", "${REDIS_PASSWORD:?fill in deploy/.env}", "${RADIS_PASSWORD:?fill in deploy/.env}", "RADIS_PASSWORD"},
		{"latest", "image: redis:", "image: redis #", "tomorrow"},
		{"a log without an end", "max-size: 10m, ", "", "may fill the disk"},
		{"memory without a limit", "mem_limit: 384m", "mem_reservation: 384m", "may take all memory"},
		{"metrics of nobody's", "--metrics-addr=:9090\", --data=/data]\n    environment:\n      <<: *peers\n      PRECEPTOR_DATABASE_URL: &catalog", "--metrics-addr=:9091\", --data=/data]\n    environment:\n      <<: *peers\n      PRECEPTOR_DATABASE_URL: &catalog", "catalog: nobody asks"},
		{"an unscraped process", "\"gateway:9090\"", "\"gateways:9090\"", "gateway: nobody asks"},
		{"a tag of many releases", "&postgres-image postgres:", "&postgres-image postgres:17 #", "tomorrow"},
		{"Postgres in the clear", "sslmode=verify-full", "sslmode=disable", "PRECEPTOR_DATABASE_URL is not encrypted"},
		{"any certificate", "sslmode=verify-full", "sslmode=require", "PRECEPTOR_DATABASE_URL is not encrypted"},
		{"Redis in the clear", "rediss://", "redis://", "PRECEPTOR_REDIS_URL is not encrypted"},
	} {
		folder := t.TempDir()
		if err := os.Mkdir(filepath.Join(folder, "prometheus"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"compose.yaml", ".env.example", "prometheus/compose.yaml"} {
			text, err := os.ReadFile("../../deploy/" + name)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(text), tc.old, tc.replacement, 1)
			if err := os.WriteFile(filepath.Join(folder, name), []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, faults, err := loadCompose(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		if found := strings.Join(faults, "\n"); !strings.Contains(found, tc.want) || (tc.want == "") != (found == "") {
			t.Errorf("%s: found %q, want %q", tc.name, found, tc.want)
		}
	}
}

// TestDatabaseURLs holds the URLs that people copy to verifying the database.
func TestDatabaseURLs(t *testing.T) {
	text, err := os.ReadFile("../../" + kubernetes)
	if err != nil {
		t.Fatal(err)
	}
	if found := urlFaults(string(text)); len(found) > 0 {
		t.Errorf("%q", found)
	}
	for _, weaker := range []string{"sslmode=require", "sslmode=disable", "sslmode=verify-full&sslrootcert=/tls/ca.crt"} {
		changed := strings.Replace(string(text), "sslmode=verify-full&sslrootcert=/database/ca.crt", weaker, 1)
		if found := urlFaults(changed); len(found) != 1 {
			t.Errorf("%s: %q", weaker, found)
		}
	}
}
