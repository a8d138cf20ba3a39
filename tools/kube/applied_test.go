package main

import (
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestInstallations expects that no overlay is forgotten.
func TestInstallations(t *testing.T) {
	applied := slices.Compact(slices.Sorted(slices.Values(slices.Concat(installations()...))))
	if all := slices.Sorted(slices.Values(overlays())); !slices.Equal(applied, all) {
		t.Errorf("applied are %q of %q", applied, all)
	}
}

// TestAPIServersVersion holds the API server to the version of the schemas.
func TestAPIServersVersion(t *testing.T) {
	text, err := os.ReadFile("../apiserver/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	libraries := strings.Replace(kubernetesVersion, "v1.", "v0.", 1)
	if !strings.Contains(string(text), "\tk8s.io/kubernetes "+kubernetesVersion+" ") {
		t.Errorf("tools/apiserver/go.mod requires another Kubernetes than %s", kubernetesVersion)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, " => ") && !strings.HasSuffix(line, " "+libraries+"\n") {
			t.Errorf("tools/apiserver/go.mod replaces by another version than %s: %s", libraries, line)
		}
	}
}

// TestMistakes expects that each of them can be made, in what the overlays render today.
func TestMistakes(t *testing.T) {
	for _, m := range mistakes() {
		all, err := renderedDocuments("../..", m.overlay)
		if err != nil {
			t.Fatal(err)
		}
		d, err := m.broken(all)
		if err != nil {
			t.Error(err)
			continue
		}
		if m.pod {
			if _, err := podOf(d); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		}
	}
}

func TestDocuments(t *testing.T) {
	for _, text := range []string{
		"---\nkind: A\n---\n# nothing\n---\nkind: B\n",
		"kind: A\n---\n\n---\nkind: B",
	} {
		all, err := documents([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if found := kinds(all); found != "A 1, B 1" {
			t.Errorf("%q has %s", text, found)
		}
	}
}

// TestPodOf makes the pods of all workloads, each with a volume for every mount.
func TestPodOf(t *testing.T) {
	for _, overlay := range overlays() {
		all, err := renderedDocuments("../..", overlay)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			if d.Spec.Template == nil {
				continue
			}
			pod, err := podOf(d)
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(pod["spec"])
			if claimed := strings.Contains(text, "claimName:data-postgres-0"); claimed != (d.Kind == "StatefulSet") {
				t.Errorf("%s: the pod has a claim of its own: %v", d, claimed)
			}
			if name := pod["metadata"].(object)["name"]; name != d.Metadata.Name+"-0" {
				t.Errorf("%s: the pod is called %v", d, name)
			}
		}
	}
	if _, err := podOf(document{}); err == nil {
		t.Error("nothing is a workload")
	}
}

func TestLacks(t *testing.T) {
	stored := object{
		"name":  "a",
		"ports": []any{object{"port": 80.0, "protocol": "TCP"}},
		"empty": object{},
	}
	for _, tc := range []struct {
		name   string
		wanted object
		want   string
	}{
		{"the same", stored, ""},
		{"less", object{"ports": []any{object{"port": 80.0}}}, ""},
		{"another value", object{"name": "b"}, ".name is stored as a instead of b"},
		{"a value in a list", object{"ports": []any{object{"port": 81.0}}}, ".ports[0].port is stored as 80 instead of 81"},
		{"a longer list", object{"ports": []any{object{}, object{}}}, ".ports is stored with 1 items instead of 2"},
		{"a field that is dropped", object{"kind": "A"}, ".kind is stored as <nil> instead of A"},
		{"a zero that is left out", object{"seconds": 0.0, "paused": false}, ""},
		{"nothing", object{"seconds": nil}, ""},
		{"an object that is dropped", object{"volume": object{}}, ".volume is not stored"},
		{"a list that is dropped", object{"volumes": []any{}}, ".volumes is stored with 0 items"},
	} {
		found := strings.Join(lacks("", tc.wanted, stored), "\n")
		if !strings.HasPrefix(found, tc.want) || (tc.want == "") != (found == "") {
			t.Errorf("%s: found %q, want %q", tc.name, found, tc.want)
		}
	}
}

// TestContent expects that a change of what was written is seen, and of the books is not.
func TestContent(t *testing.T) {
	made := func(spec, version string) object {
		return reply{body: object{"spec": spec, "status": version, "metadata": object{"name": "a", "resourceVersion": version}}}.content()
	}
	if !reflect.DeepEqual(made("x", "1"), made("x", "2")) {
		t.Error("the books are content")
	}
	if reflect.DeepEqual(made("x", "1"), made("y", "1")) {
		t.Error("a change is not seen")
	}
}

func TestFaultsOfAnswers(t *testing.T) {
	h := http.Header{}
	h.Add("Warning", `299 - "would violate \"restricted\""`)
	h.Add("Warning", `299 - "deprecated"`)
	a := reply{status: http.StatusOK, warnings: warnings(h)}
	if found, want := a.faults(), []string{`warning: would violate "restricted"`, "warning: deprecated"}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
	a = reply{status: http.StatusConflict, body: object{"message": "taken"}}
	if found, want := a.faults(), []string{"refused (409): taken"}; !slices.Equal(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
}
