package grpcapi_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
)

// TestWarnings proves that warnings come through previews and imports whole.
func TestWarnings(t *testing.T) {
	h := newHarness(t)
	author := h.as(t, auth.RoleAuthor)
	const files = `modules:
- {id: first, title: First, units: [{id: u}]}
- {id: second, title: Second, units: [{id: u}], prerequisites: [first]}
paths:
- {id: way, title: Way, milestones: [{id: m, title: M, groups: [{moduleIds: [second]}]}]}
`
	want := &catalogv1.Violation{
		Field: "milestones[0].groups[0].moduleIds[0]", Reason: "PREREQUISITE_OUTSIDE_PATH",
		Description: `"second" has the prerequisite "first", which is not in the path: learners are shown "first" first`,
	}
	imported, err := h.ImportCatalog(author, &catalogv1.ImportCatalogRequest{Files: []*catalogv1.ImportCatalogRequest_File{{Name: "a.yaml", Content: files}}})
	must(t, err)
	if got := imported.GetWarnings(); len(got) != 1 || got[0].GetField() != "a.yaml:5:78 paths[0]."+want.GetField() ||
		got[0].GetDescription() != want.GetDescription() || got[0].GetReason() != want.GetReason() {
		t.Errorf("import: %v", got)
	}
	path, err := h.PreviewPath(author, &catalogv1.PreviewPathRequest{PathId: "way"})
	if err != nil || len(path.GetWarnings()) != 1 || !proto.Equal(path.GetWarnings()[0], want) {
		t.Errorf("path: %v, %v", path, err)
	}
	catalogtest.Publish(t, h.service.Modules, "third", catalogtest.Module(), catalog.Publication{})
	_, err = h.UpdateModule(author, &catalogv1.UpdateModuleRequest{ModuleId: "second", Content: &catalogv1.ModuleVersion{Prerequisites: []string{"third"}}})
	must(t, err)
	module, err := h.PreviewModule(author, &catalogv1.PreviewModuleRequest{ModuleId: "second"})
	if err != nil || len(module.GetWarnings()) != 1 || module.GetWarnings()[0].GetField() != "prerequisites[0]" ||
		module.GetWarnings()[0].GetReason() != "PREREQUISITE_OUTSIDE_PATH" {
		t.Errorf("module: %v, %v", module, err)
	}
}

// TestManyOfAPreview proves that previews name a hundred violations and warnings, and say how many
// more there are; and nothing where there are no more.
func TestManyOfAPreview(t *testing.T) {
	h := newHarness(t)
	author := h.as(t, auth.RoleAuthor)
	content := &catalogv1.PathVersion{Title: "Way"}
	for m := range 3 {
		groups := &catalogv1.ModuleGroup{}
		for i := range 60 {
			groups.ModuleIds = append(groups.ModuleIds, fmt.Sprintf("nobody-%d-%d", m, i))
		}
		content.Milestones = append(content.Milestones, &catalogv1.Milestone{Id: fmt.Sprintf("m%d", m), Title: "M", Groups: []*catalogv1.ModuleGroup{groups}})
	}
	_, err := h.CreatePath(author, &catalogv1.CreatePathRequest{PathId: "way", Content: content})
	must(t, err)
	preview, err := h.PreviewPath(author, &catalogv1.PreviewPathRequest{PathId: "way"})
	if err != nil || len(preview.GetViolations()) != 100 || preview.GetMoreViolations() != 80 || preview.MoreWarnings != nil {
		t.Errorf("%d violations and %d more, %v", len(preview.GetViolations()), preview.GetMoreViolations(), err)
	}
	_, err = h.PublishPath(author, &catalogv1.PublishPathRequest{PathId: "way"})
	if st := status.Convert(err); !strings.Contains(st.Message(), "180 fields are not valid") || !strings.Contains(st.Message(), "80 more") {
		t.Errorf("published: %v", err)
	}

	var files strings.Builder
	files.WriteString("modules:\n- {id: needed, title: N, units: [{id: u}]}\n")
	ids := make([]string, 120)
	for i := range ids {
		ids[i] = fmt.Sprintf("m%d", i)
		fmt.Fprintf(&files, "- {id: m%d, title: M, prerequisites: [needed], units: [{id: u}]}\n", i)
	}
	files.WriteString("paths:\n- {id: long, title: Long, milestones: [{id: m, title: M, groups: [{moduleIds: [" + strings.Join(ids, ",") + "]}]}]}\n")
	imported, err := h.ImportCatalog(author, &catalogv1.ImportCatalogRequest{Files: []*catalogv1.ImportCatalogRequest_File{{Name: "a.yaml", Content: files.String()}}})
	if err != nil || len(imported.GetWarnings()) != 100 || imported.GetMoreWarnings() != 20 {
		t.Errorf("%d warnings and %d more, %v", len(imported.GetWarnings()), imported.GetMoreWarnings(), err)
	}
}
