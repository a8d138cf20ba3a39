// Command kube checks deploy/ and the Dockerfile as far as that can be done without a cluster and
// without a container engine: what kustomize renders is valid against the schemas of a current
// Kubernetes and follows the rules of rules.go and flows.go; the compose file is valid; the Dockerfile
// is valid, and the files that .dockerignore leaves are enough to build a static program, which
// knows every argument that it is given anywhere; the dashboard and the alerts name metrics that
// docs/operations.md lists. With -apiserver it asks Kubernetes itself instead.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	root := flag.String("root", "../..", "the repository")
	applied := flag.Bool("apiserver", false, "build an API server, and apply the overlays to it")
	alerts := flag.Bool("alerts", false, "write the alerts as the Prometheus operator takes them")
	flag.Parse()
	check := run
	if *alerts {
		check = writeRules
	}
	if *applied {
		check = runApplied
	}
	// Interrupted, it removes what it made, and stops what it started.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := check(ctx, *root, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		os.Exit(1)
	}
}

// report collects what is found. A fault does not end the check, so that all of them are seen at once.
type report struct {
	out    io.Writer
	faults int
}

// section prints what was looked at, and what is wrong with it.
func (r *report) section(began time.Time, what string, faults []string) {
	fmt.Fprintf(r.out, "%-60s %5.1fs\n", what, time.Since(began).Seconds())
	for _, f := range faults {
		fmt.Fprintln(r.out, "  -", f)
	}
	r.faults += len(faults)
}

func (r *report) verdict() error {
	if r.faults > 0 {
		return errors.New("what is listed above is wrong")
	}
	return nil
}

// production is the overlay that is an example to copy.
const production = "production"

// small is the overlay with one pod of each service, variants and openshift what ../testdata makes of production.
const (
	small     = "small"
	variants  = "variants"
	openshift = "openshift"
)

// monitored is production with what the Prometheus operator takes.
const monitored = "monitored"

// store is the example of a Postgres, which has a folder of its own.
const store = "cloudnative-pg"

// overlays returns what can be applied, by names that folder knows.
func overlays() []string {
	return []string{"dev", production, production + "/migrate", small, variants, openshift, monitored, store}
}

// folder is where an overlay is.
func folder(root, name string) string {
	switch name {
	case variants, openshift:
		return root + "/tools/kube/testdata/" + name
	case store:
		return root + "/deploy/" + name
	default:
		return root + "/deploy/k8s/overlays/" + name
	}
}

func run(ctx context.Context, root string, out io.Writer) error {
	r := &report{out: out}

	began := time.Now()
	check, err := newSchemas(ctx)
	if err != nil {
		return err
	}
	defer check.Close()
	r.section(began, "schemas of "+versions(), nil)

	began = time.Now()
	p, faults, err := buildFromContext(ctx, root)
	if err != nil {
		return err
	}
	defer p.Close()
	r.section(began, fmt.Sprintf("the program, built from the image's context: %.1f MB", float64(p.size)/1e6), faults)

	began = time.Now()
	faults, err = dockerfileFaults(root + "/Dockerfile")
	if err != nil {
		return err
	}
	r.section(began, "Dockerfile", faults)

	began = time.Now()
	c, faults, err := loadCompose(ctx, root+"/deploy")
	if err != nil {
		return err
	}
	r.section(began, "deploy/compose.yaml", slices.Concat(faults, p.faults(ctx, c.processes())))

	began = time.Now()
	faults, err = telemetryFaults(root)
	if err != nil {
		return err
	}
	r.section(began, "deploy/grafana, deploy/prometheus", faults)

	began = time.Now()
	guide, err := os.ReadFile(root + "/" + kubernetes)
	if err != nil {
		return err
	}
	r.section(began, kubernetes, urlFaults(string(guide)))

	for _, name := range overlays() {
		began = time.Now()
		faults, err := overlayFaults(ctx, root, name, check, p)
		if err != nil {
			return err
		}
		r.section(began, strings.TrimPrefix(folder(root, name), root+"/"), faults)
	}
	return r.verdict()
}

// overlayFaults checks what one overlay renders.
func overlayFaults(ctx context.Context, root, name string, check *schemas, p *program) ([]string, error) {
	text, err := render(folder(root, name))
	if err != nil {
		return nil, err
	}
	c, err := read(text)
	if err != nil {
		return nil, err
	}
	faults := check.faults(text)
	for _, rule := range rulesOf(name) {
		for _, f := range rule.check(c) {
			faults = append(faults, rule.name+": "+f)
		}
	}
	if name == "dev" {
		given, err := printedSecrets(ctx, folder(root, name))
		if err != nil {
			return nil, err
		}
		faults = append(faults, missingSecrets(c, given)...)
	} else {
		faults = append(faults, unverifiedDatabases(c)...)
	}
	return append(faults, p.faults(ctx, c.processes())...), nil
}
