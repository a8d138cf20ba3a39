package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// installations are the overlays that are applied to one cluster, in the order of docs/kubernetes.md.
func installations() [][]string {
	return [][]string{{"dev"}, {store, production + "/migrate", production, variants, openshift, monitored}, {production + "/migrate", small}}
}

// runApplied applies every overlay to an API server that is new, and expects it to take all of it
// without a warning, and to refuse what is not right.
func runApplied(ctx context.Context, root string, out io.Writer) error {
	r := &report{out: out}
	began := time.Now()
	programs, err := buildServers(ctx, root, out)
	if err != nil {
		return err
	}
	r.section(began, "etcd and kube-apiserver "+kubernetesVersion+", built", nil)
	for _, each := range installations() {
		if err := r.install(ctx, root, programs, each); err != nil {
			return err
		}
	}
	return r.verdict()
}

func (r *report) install(ctx context.Context, root, programs string, overlays []string) error {
	began := time.Now()
	s, err := startServers(ctx, programs)
	if err != nil {
		return err
	}
	defer s.Close()
	faults, err := prepare(ctx, s.api, root, slices.Contains(overlays, "dev"))
	if err != nil {
		return err
	}
	r.section(began, "a new API server, with the kinds of others", faults)

	for _, name := range overlays {
		began = time.Now()
		all, err := renderedDocuments(root, name)
		if err != nil {
			return err
		}
		faults, err := applyFaults(ctx, s.api, all)
		if err != nil {
			return err
		}
		pods, podFaults, err := podsFaults(ctx, s.api, all)
		if err != nil {
			return err
		}
		r.section(began, fmt.Sprintf("%s: %d objects, %d pods", name, len(all), pods), slices.Concat(faults, podFaults))
		fmt.Fprintln(r.out, " ", kinds(all))
	}

	began = time.Now()
	tried, faults, err := mistakesFaults(ctx, s.api, root, overlays)
	if err != nil {
		return err
	}
	r.section(began, fmt.Sprintf("refused, as they should be: %d mistakes", tried), faults)
	return nil
}

// renderedDocuments are the manifests of an overlay, in the order in which they are applied.
func renderedDocuments(root, overlay string) ([]document, error) {
	text, err := render(folder(root, overlay))
	if err != nil {
		return nil, err
	}
	return documents(text)
}

// kinds returns how many there are of each: "Deployment 4, Service 4".
func kinds(all []document) string {
	count := map[string]int{}
	for _, d := range all {
		count[d.Kind]++
	}
	words := make([]string, 0, len(count))
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		words = append(words, fmt.Sprintf("%s %d", kind, count[kind]))
	}
	return strings.Join(words, ", ")
}

// prepare applies what is in a cluster before an overlay is: the kinds of others, the namespace, for
// a trial its Secrets, and the account that a controller makes in every namespace.
func prepare(ctx context.Context, api *apiServer, root string, trial bool) ([]string, error) {
	definitions, err := customDefinitions(ctx)
	if err != nil {
		return nil, err
	}
	found, err := applyFaults(ctx, api, definitions)
	if err != nil {
		return nil, err
	}
	for _, of := range customised() {
		if err := served(ctx, api, "/apis/"+of.group, of.resources); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "deploy", "k8s", "base", "namespace.yaml"))
	if err != nil {
		return nil, err
	}
	text = append(text, "\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: preceptor}\n"...)
	if trial {
		secrets, err := secretsScript(ctx, folder(root, "dev"))
		if err != nil {
			return nil, err
		}
		text = append(text, secrets...)
	}
	before, err := documents(text)
	if err != nil {
		return nil, err
	}
	more, err := applyFaults(ctx, api, before)
	return append(found, more...), err
}

// served waits until the API server serves kinds that were defined a moment ago.
func served(ctx context.Context, api *apiServer, group string, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		ok, err := api.serves(ctx, group, names)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not served: %w", group, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// applyFaults applies manifests, reads them back, and applies them again, which must change nothing.
func applyFaults(ctx context.Context, api *apiServer, all []document) ([]string, error) {
	var f faults
	for _, d := range all {
		first, err := api.apply(ctx, d, false)
		if err != nil {
			return nil, err
		}
		found := first.faults()
		if len(found) == 0 {
			found, err = storedFaults(ctx, api, d)
			if err != nil {
				return nil, err
			}
		}
		for _, fault := range found {
			f.addf("%s: %s", d, fault)
		}
	}
	return f, nil
}

// storedFaults compares a manifest that was accepted with what is stored of it. A field of a
// feature that is off, for one, is accepted and not stored.
func storedFaults(ctx context.Context, api *apiServer, d document) ([]string, error) {
	stored, err := api.get(ctx, d.manifest)
	if err != nil {
		return nil, err
	}
	var wanted object
	if err := yaml.Unmarshal(d.text, &wanted); err != nil {
		return nil, err
	}
	delete(wanted, "stringData") // which becomes data
	found := slices.Concat(stored.faults(), lacks("", wanted, stored.body))
	again, err := api.apply(ctx, d, false)
	if err != nil {
		return nil, err
	}
	found = append(found, again.faults()...)
	if !reflect.DeepEqual(again.content(), stored.content()) {
		found = append(found, "applied again, it changes")
	}
	return found, nil
}

// lacks finds what is wanted and is not there, or is something else. Defaults may be there besides,
// and what is zero may be left out.
func lacks(path string, wanted, got any) []string {
	switch wanted := wanted.(type) {
	case object:
		fields, ok := got.(object)
		if !ok {
			return []string{path + " is not stored"}
		}
		var f faults
		for _, name := range slices.Sorted(maps.Keys(wanted)) {
			f = append(f, lacks(path+"."+name, wanted[name], fields[name])...)
		}
		return f
	case []any:
		items, ok := got.([]any)
		if !ok || len(items) != len(wanted) {
			return []string{fmt.Sprintf("%s is stored with %d items instead of %d", path, len(items), len(wanted))}
		}
		var f faults
		for i := range wanted {
			f = append(f, lacks(fmt.Sprintf("%s[%d]", path, i), wanted[i], items[i])...)
		}
		return f
	default:
		if wanted == got || got == nil && reflect.ValueOf(wanted).IsZero() {
			return nil
		}
		return []string{fmt.Sprintf("%s is stored as %v instead of %v", path, got, wanted)}
	}
}

// podsFaults asks for the pods that controllers would make, since the namespace refuses pods where
// it only warns about the workloads that make them.
func podsFaults(ctx context.Context, api *apiServer, all []document) (tried int, found []string, err error) {
	var f faults
	for _, d := range all {
		if d.Spec.Template == nil {
			continue
		}
		tried++
		a, err := admitPod(ctx, api, d)
		if err != nil {
			return 0, nil, err
		}
		for _, fault := range a.faults() {
			f.addf("a pod of %s: %s", d, fault)
		}
	}
	return tried, f, nil
}

// admitPod asks for a pod of a workload.
func admitPod(ctx context.Context, api *apiServer, d document) (reply, error) {
	pod, err := podOf(d)
	if err != nil {
		return reply{}, err
	}
	return api.admit(ctx, d.Metadata.Namespace, pod)
}

// podOf is the pod that a controller would make of a workload's template.
func podOf(d document) (object, error) {
	type template struct {
		Metadata object `json:"metadata"`
		Spec     object `json:"spec"`
	}
	var workload struct {
		Spec struct {
			Template    template `json:"template"`
			JobTemplate struct {
				Spec struct {
					Template template `json:"template"`
				} `json:"spec"`
			} `json:"jobTemplate"` // of CronJobs
			VolumeClaimTemplates []struct {
				Metadata named `json:"metadata"`
			} `json:"volumeClaimTemplates"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(d.text, &workload); err != nil {
		return nil, err
	}
	from := workload.Spec.Template
	if from.Spec == nil {
		from = workload.Spec.JobTemplate.Spec.Template
	}
	metadata, spec := from.Metadata, from.Spec
	if metadata == nil || spec == nil {
		return nil, errors.New(d.String() + " has no template of a pod")
	}
	metadata["name"] = d.Metadata.Name + "-0"
	for _, claim := range workload.Spec.VolumeClaimTemplates {
		name := claim.Metadata.Name
		volumes, _ := spec["volumes"].([]any)
		spec["volumes"] = append(volumes, object{
			"name":                  name,
			"persistentVolumeClaim": object{"claimName": name + "-" + d.Metadata.Name + "-0"},
		})
	}
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, nil
}
