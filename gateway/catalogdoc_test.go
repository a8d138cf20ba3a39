package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
)

const (
	importRPC  = catalogv1.CatalogService_ImportCatalog_FullMethodName
	exportRPC  = catalogv1.CatalogService_ExportCatalog_FullMethodName
	importPath = "/v1/catalog:import"
	exportPath = "/v1/catalog:export"
)

func importOf(dryRun bool, pairs ...string) *catalogv1.ImportCatalogRequest {
	req := &catalogv1.ImportCatalogRequest{DryRun: dryRun}
	for i := 0; i < len(pairs); i += 2 {
		req.Files = append(req.Files, &catalogv1.ImportCatalogRequest_File{Name: pairs[i], Content: pairs[i+1]})
	}
	return req
}

func TestImportTakesFilesOrOneDocument(t *testing.T) {
	h := open(t)
	h.responds(importRPC, &catalogv1.ImportCatalogResponse{Revision: 7}, "preceptor-catalog-revision", "7")
	yaml, doc := "modules:\n- id: a\n", `{"modules":[{"id":"a"}]}`
	files := `{"files":[{"name":"a.yaml","content":"modules: []"},{"name":"b.yaml","content":""}]}`
	for name, c := range map[string]struct {
		query, body, contentType string
		want                     *catalogv1.ImportCatalogRequest
	}{
		"YAML":                {"", yaml, "application/yaml", importOf(false, "body.yaml", yaml)},
		"text/yaml":           {"?dryRun=true", yaml, "text/yaml; charset=utf-8", importOf(true, "body.yaml", yaml)},
		"YAML by its looks":   {"", yaml, "", importOf(false, "body.yaml", yaml)},
		"JSON in YAML":        {"", files, "application/yaml", importOf(false, "body.yaml", files)},
		"JSON document":       {"?dry_run=true", doc, "application/json", importOf(true, "body.json", doc)},
		"JSON, no type":       {"", doc, "", importOf(false, "body.json", doc)},
		"files":               {"", files, "application/json", importOf(false, "a.yaml", "modules: []", "b.yaml", "")},
		"files, dry by query": {"?dryRun=true", files, "application/json", importOf(true, "a.yaml", "modules: []", "b.yaml", "")},
		"files, dry by body":  {"", `{"files":[],"dryRun":true}`, "application/json", importOf(true)},
		"nothing":             {"", "", "application/json", importOf(false)},
	} {
		t.Run(name, func(t *testing.T) {
			a := h.do(t, "POST", importPath+c.query, c.body, "Content-Type", c.contentType)
			a.wantJSON(t, 200, `{"revision":"7","changes":[],"unchangedCount":0,"warnings":[]}`)
			if got := h.last(t).req; !proto.Equal(got, c.want) {
				t.Errorf("%v\nwant %v", got, c.want)
			}
			if a.header.Get("Preceptor-Catalog-Revision") != "7" {
				t.Error("no revision")
			}
		})
	}
}

func TestImportRefuses(t *testing.T) {
	h := open(t)
	for name, c := range map[string]struct{ query, body, contentType, field string }{
		"JSON that is none": {"", `{"modules":`, "application/json", "body"},
		"not UTF-8":         {"", "modules: \xff", "application/yaml", "body"},
		"NUL":               {"", "modules: \x00", "application/yaml", "body"},
		"unknown field":     {"", `{"files":[],"modules":[]}`, "application/json", "modules"},
		"wrong type":        {"", `{"files":[{"name":1}]}`, "application/json", "files[0].name"},
		"NUL in a file":     {"", `{"files":[{"name":"a","content":"\u0000"}]}`, "application/json", "files[0].content"},
		"bad dryRun":        {"?dryRun=perhaps", "a: 1", "application/yaml", "dryRun"},
	} {
		t.Run(name, func(t *testing.T) {
			p := h.do(t, "POST", importPath+c.query, c.body, "Content-Type", c.contentType).wantProblem(t, 400, "INVALID_ARGUMENT")
			if f := p.fields(); len(f) != 1 || f[0] != c.field {
				t.Errorf("%v, want %s", f, c.field)
			}
		})
	}
	if h.count() != 0 {
		t.Error("a call reached the service")
	}
	h.fails(importRPC, fault(codes.InvalidArgument, "CATALOG_INVALID", "two modules are called a"))
	h.do(t, "POST", importPath, "a: 1").wantProblem(t, 400, "CATALOG_INVALID")
}

// exports makes the backend stream a document in pieces, then end with err.
func (h *harness) exports(etag string, err error, pieces ...string) {
	h.streams(exportRPC, func(_ proto.Message, s grpc.ServerStream) error {
		if etag != "" {
			if err := s.SetHeader(metadata.Pairs("etag", etag)); err != nil {
				return err
			}
		}
		for _, piece := range pieces {
			if err := s.SendMsg(&catalogv1.ExportCatalogResponse{Chunk: []byte(piece)}); err != nil {
				return err
			}
		}
		return err
	})
}

func TestExportIsTheDocument(t *testing.T) {
	h := open(t)
	for _, etag := range []string{`"r7"`, ""} {
		h.exports(etag, nil, "modules:\n", "- id: a\n")
		a := h.get(t, exportPath)
		if a.status != 200 || a.body != "modules:\n- id: a\n" || a.header.Get("Content-Type") != "application/yaml" {
			t.Fatalf("%+v", a)
		}
		if a.header.Get("Content-Disposition") != `attachment; filename="preceptor-catalog.yaml"` {
			t.Errorf("%v", a.header)
		}
		tag := a.header.Get("ETag")
		if tag == "" || etag != "" && tag != etag {
			t.Errorf("ETag %q", tag)
		}
		again := h.get(t, exportPath, "If-None-Match", tag)
		if again.status != http.StatusNotModified || again.body != "" || again.header.Get("Content-Disposition") != "" {
			t.Errorf("%+v", again)
		}
	}
	h.exports("", nil)
	if a := h.get(t, exportPath); a.status != 200 || a.body != "" {
		t.Errorf("an empty catalog: %+v", a)
	}
}

func TestExportFormat(t *testing.T) {
	h := open(t)
	h.exports("", nil, "{}")
	for _, c := range []struct {
		query, accept string
		want          catalogv1.ExportCatalogRequest_Format
	}{
		{"", "", catalogv1.ExportCatalogRequest_YAML},
		{"", "*/*", catalogv1.ExportCatalogRequest_YAML},
		{"", "application/json", catalogv1.ExportCatalogRequest_JSON},
		{"", "application/json, */*", catalogv1.ExportCatalogRequest_JSON},
		{"", "application/yaml, application/json;q=0.5", catalogv1.ExportCatalogRequest_YAML},
		{"", "text/yaml;q=0.1, application/json;q=0.5", catalogv1.ExportCatalogRequest_JSON},
		{"", "application/json;q=0, text/html", catalogv1.ExportCatalogRequest_YAML},
		{"", "image/png;q=x, ;;", catalogv1.ExportCatalogRequest_YAML},
		{"?format=JSON", "application/yaml", catalogv1.ExportCatalogRequest_JSON},
	} {
		a := h.get(t, exportPath+c.query, "Accept", c.accept)
		if got, _ := h.last(t).req.(*catalogv1.ExportCatalogRequest); a.status != 200 || got.GetFormat() != c.want {
			t.Errorf("%q %q: %d %v", c.query, c.accept, a.status, got)
		}
		if isJSON := a.header.Get("Content-Type") == "application/json"; isJSON != (c.want == catalogv1.ExportCatalogRequest_JSON) {
			t.Errorf("%q: %v", c.accept, a.header)
		}
	}
	h.get(t, exportPath+"?format=XML").wantProblem(t, 400, "INVALID_ARGUMENT")
}

func TestExportFailures(t *testing.T) {
	h := open(t)
	h.exports("", fault(codes.PermissionDenied, "ROLE_REQUIRED", "authors only"))
	h.get(t, exportPath).wantProblem(t, 403, "ROLE_REQUIRED")
	// Once begun, a document that stays incomplete must not look whole.
	for _, etag := range []string{`"r7"`, ""} {
		h.exports(etag, fault(codes.Unavailable, "BUSY", "gone"), strings.Repeat("- id: a\n", 1000))
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, h.url+exportPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			_, err = readAll(res)
		}
		if err == nil {
			t.Error("a broken export looks whole")
		}
	}
}
