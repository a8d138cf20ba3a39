package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/yannh/kubeconform/pkg/validator"
	"sigs.k8s.io/yaml"
)

// kubernetesVersion is the version whose schemas the manifests must match. It is a Go module, as those of
// definitions are, so that the go command fetches it once and checks its sum.
const kubernetesVersion = "v1.37.2"

// schemas checks the fields of a manifest as the API server would.
type schemas struct {
	dir       string
	validator validator.Validator
}

// object is JSON of any shape.
type object = map[string]any

// newSchemas writes strict JSON schemas for kubeconform, a file for each kind.
func newSchemas(ctx context.Context) (_ *schemas, err error) {
	dir, err := os.MkdirTemp("", "kube-schemas-")
	if err != nil {
		return nil, err
	}
	s := &schemas{dir: dir}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.kubernetes(ctx); err != nil {
		return nil, err
	}
	if err := s.customKinds(ctx); err != nil {
		return nil, err
	}
	s.validator, err = validator.New([]string{dir + "/{{ .ResourceKind }}{{ .KindSuffix }}.json"}, validator.Opts{Strict: true})
	return s, err
}

// Close removes the files.
func (s *schemas) Close() { _ = os.RemoveAll(s.dir) }

// faults checks a stream of manifests.
func (s *schemas) faults(text []byte) []string {
	var faults []string
	for _, r := range s.validator.Validate("rendered", io.NopCloser(bytes.NewReader(text))) {
		if r.Status == validator.Valid || r.Status == validator.Empty {
			continue
		}
		name := "a manifest"
		if sig, err := r.Resource.Signature(); err == nil {
			name = sig.Kind + " " + sig.Name
		}
		faults = append(faults, fmt.Sprintf("%s: %v", name, r.Err))
	}
	return faults
}

// moduleFolder returns the folder of a module, which is fetched if need be.
func moduleFolder(ctx context.Context, module, version string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir = os.TempDir() // outside of any module: it is data, and no dependency
	out, err := cmd.Output()
	var listed struct {
		Dir   string `json:"Dir"`
		Error string `json:"Error"`
	}
	if jerr := json.Unmarshal(out, &listed); jerr != nil || err != nil || listed.Dir == "" {
		return "", fmt.Errorf("fetching %s %s: %w: %s", module, version, err, listed.Error)
	}
	return listed.Dir, nil
}

// kubernetes makes them from the API's OpenAPI document.
func (s *schemas) kubernetes(ctx context.Context) error {
	dir, err := moduleFolder(ctx, "k8s.io/kubernetes", kubernetesVersion)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, "api", "openapi-spec", "swagger.json"))
	if err != nil {
		return err
	}
	// All definitions stay in one file, which those of the kinds refer to.
	text = bytes.ReplaceAll(text, []byte(`"#/definitions/`), []byte(`"_definitions.json#/definitions/`))
	var document struct {
		Definitions map[string]object `json:"definitions"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	for name, d := range document.Definitions {
		if d["format"] == "int-or-string" || strings.HasSuffix(name, ".Quantity") {
			document.Definitions[name] = object{"type": []string{"string", "number"}}
			continue
		}
		if d["properties"] != nil && d["additionalProperties"] == nil {
			d["additionalProperties"] = false
		}
		for _, kind := range kindsOf(d) {
			if err := s.write(kind.file(), object{"$ref": "_definitions.json#/definitions/" + name}); err != nil {
				return err
			}
		}
	}
	return s.write("_definitions.json", object{"definitions": document.Definitions})
}

// customKinds adds those of a table's rows, from their custom resource definitions.
func (s *schemas) customKinds(ctx context.Context) error {
	all, err := customDefinitions(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		var definition struct {
			Spec struct {
				Group string                `json:"group"`
				Names struct{ Kind string } `json:"names"`

				Versions []struct {
					Name   string `json:"name"`
					Schema struct {
						OpenAPIV3Schema object `json:"openAPIV3Schema"`
					} `json:"schema"`
				} `json:"versions"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal(d.text, &definition); err != nil {
			return err
		}
		for _, v := range definition.Spec.Versions {
			closeObjects(v.Schema.OpenAPIV3Schema)
			kind := groupVersionKind{definition.Spec.Group, v.Name, definition.Spec.Names.Kind}
			if err := s.write(kind.file(), v.Schema.OpenAPIV3Schema); err != nil {
				return err
			}
		}
	}
	return nil
}

// closeObjects refuses the properties that a schema does not name, as the API server does.
func closeObjects(schema object) {
	if schema["x-kubernetes-int-or-string"] == true {
		schema["type"] = []string{"string", "integer"}
		delete(schema, "anyOf")
	}
	if schema["properties"] != nil && schema["additionalProperties"] == nil && schema["x-kubernetes-preserve-unknown-fields"] != true {
		schema["additionalProperties"] = false
	}
	for _, v := range schema {
		switch v := v.(type) {
		case object:
			closeObjects(v)
		case []any:
			for _, each := range v {
				if o, ok := each.(object); ok {
					closeObjects(o)
				}
			}
		}
	}
}

func (s *schemas) write(name string, schema any) error {
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, name), text, 0o600)
}

// groupVersionKind is what a manifest's apiVersion and kind say.
type groupVersionKind struct {
	Group   string `json:"group"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
}

// file is where kubeconform looks: deployment-apps-v1.json.
func (k groupVersionKind) file() string {
	group, _, _ := strings.Cut(k.Group, ".")
	if group != "" {
		group += "-"
	}
	return strings.ToLower(k.Kind + "-" + group + k.Version + ".json")
}

// kindsOf are the kinds that a definition of Kubernetes describes.
func kindsOf(definition object) []groupVersionKind {
	var kinds []groupVersionKind
	text, err := json.Marshal(definition["x-kubernetes-group-version-kind"])
	if err != nil || json.Unmarshal(text, &kinds) != nil {
		return nil
	}
	return kinds
}
