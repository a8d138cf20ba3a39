package gateway_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestOpenAPIIsUpToDate generates the document again: what is embedded is what proto/ describes.
// tools/openapi checks that it is a good one.
func TestOpenAPIIsUpToDate(t *testing.T) {
	before, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", "./openapigen", "-stdout").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, out) {
		t.Error("openapi.json is not what openapigen makes: run make generate")
	}
}

func TestOpenAPIHasEveryRouteAndNoOther(t *testing.T) {
	a := open(t).get(t, "/openapi.json")
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" || a.header.Get("ETag") == "" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	var doc struct {
		Info struct {
			Version string `json:"version"`
		} `json:"info"`
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Info.Version != "1.2.3" {
		t.Errorf("version %s", doc.Info.Version)
	}
	anonymous := func(method, path string) string { return method + " " + pathParameterName.ReplaceAllString(path, "{}") }
	var want, got []string
	for _, r := range restRoutes(t) {
		want = append(want, anonymous(r.method, r.path))
	}
	for path, item := range doc.Paths {
		for method := range item {
			if method != "parameters" {
				got = append(got, anonymous(strings.ToUpper(method), path))
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("described:\n%s\nserved:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
