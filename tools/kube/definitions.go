package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// definitions are the custom resource definitions of somebody's, in a Go module: those of the kinds that a
// deployment may use, by the names of their resources.
type definitions struct {
	name, module, version string
	// folder has the files, each with prefix before the name of its resource.
	folder, prefix string
	group          string // and version, as the API server serves it
	resources      []string
}

// customised lists all whose kinds the manifests have.
func customised() []definitions {
	return []definitions{
		{
			"cert-manager", "github.com/cert-manager/cert-manager", "v1.21.2", "deploy/crds", "cert-manager.io_",
			"cert-manager.io/v1",
			[]string{"certificates", "issuers", "clusterissuers"},
		},
		{
			"CloudNativePG", "github.com/cloudnative-pg/cloudnative-pg", "v1.30.0", "config/crd/bases", "postgresql.cnpg.io_",
			"postgresql.cnpg.io/v1",
			[]string{"clusters", "scheduledbackups"},
		},
		{
			"its Barman Cloud plugin", "github.com/cloudnative-pg/plugin-barman-cloud", "v0.15.0", "config/crd/bases", "barmancloud.cnpg.io_",
			"barmancloud.cnpg.io/v1",
			[]string{"objectstores"},
		},
		{
			"the Prometheus operator", "github.com/prometheus-operator/prometheus-operator", "v0.85.0",
			"example/prometheus-operator-crd", "monitoring.coreos.com_",
			"monitoring.coreos.com/v1",
			[]string{"podmonitors", "prometheusrules"},
		},
	}
}

// customDefinitions are the definitions themselves.
func customDefinitions(ctx context.Context) ([]document, error) {
	var all []document
	for _, of := range customised() {
		dir, err := moduleFolder(ctx, of.module, of.version)
		if err != nil {
			return nil, err
		}
		for _, name := range of.resources {
			text, err := os.ReadFile(filepath.Join(dir, of.folder, of.prefix+name+".yaml"))
			if err != nil {
				return nil, err
			}
			each, err := documents(text)
			if err != nil {
				return nil, err
			}
			all = append(all, each...)
		}
	}
	return all, nil
}

// versions lists what the schemas are of.
func versions() string {
	var text strings.Builder
	text.WriteString("Kubernetes " + kubernetesVersion)
	for _, of := range customised() {
		text.WriteString(", " + of.name + " " + of.version)
	}
	return text.String()
}
