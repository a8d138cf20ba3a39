package grpcapi_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/services/catalog"
	"github.com/preceptor-dev/preceptor/services/catalog/catalogtest"
)

func anArchive() *catalogv1.ModuleArchiveImpact {
	return &catalogv1.ModuleArchiveImpact{
		LearnersCompleted: 7, LearnersInProgress: 6, LearnersExcused: 5,
		Paths: []*catalogv1.ImpactedPath{{PathId: "way", Title: "Way", MilestoneIds: []string{"first"}, Enrollments: 3}},
	}
}

func aPathArchive() *catalogv1.PathArchiveImpact {
	return &catalogv1.PathArchiveImpact{
		AwardsHeld: 2, Enrollments: []*catalogv1.PinnedEnrollments{{PathVersion: 1, Enrollments: 8}, {PathVersion: 2, Enrollments: 1}},
	}
}

func (c *counting) CountModuleArchive(
	_ context.Context, req *progressv1.CountModuleArchiveRequest,
) (*progressv1.CountModuleArchiveResponse, error) {
	if req.GetModuleId() != "a" || req.GetLatestVersion() != 2 {
		return &progressv1.CountModuleArchiveResponse{}, nil
	}
	return &progressv1.CountModuleArchiveResponse{Impact: anArchive()}, nil
}

func (c *counting) CountPathArchive(_ context.Context, req *progressv1.CountPathArchiveRequest) (*progressv1.CountPathArchiveResponse, error) {
	if req.GetPathId() != "way" || req.GetLatestVersion() != 1 {
		return &progressv1.CountPathArchiveResponse{}, nil
	}
	return &progressv1.CountPathArchiveResponse{Impact: aPathArchive()}, nil
}

// shelve publishes modules that build on "a" in every way, and paths that name it.
func shelve(t *testing.T, h *harness) {
	t.Helper()
	module := func(title string, prerequisites []string, credits ...string) catalog.ModuleContent {
		c := catalogtest.Module()
		c.Title, c.Prerequisites = title, prerequisites
		if len(credits) > 0 {
			c.Credits = []catalog.Credit{{ModuleIDs: credits}}
		}
		return c
	}
	publish := func(id string, c catalog.ModuleContent, p catalog.Publication) {
		t.Helper()
		catalogtest.Publish(t, h.service.Modules, id, c, p)
	}
	publish("a", module("A", nil), catalog.Publication{})
	publish("a", module("A, again", nil), catalog.Publication{ChangeClass: catalog.ClassMinor})
	publish("other", module("Other", nil), catalog.Publication{})
	publish("after", module("After", []string{"a"}), catalog.Publication{})
	publish("credited", module("Credited", nil, "a", "other"), catalog.Publication{})
	publish("gone", module("Gone", []string{"a"}), catalog.Publication{})
	if _, err := h.service.Modules.Archive(t.Context(), "gone", time.Time{}, nil, "ada"); err != nil {
		t.Fatal(err)
	}
	catalogtest.Draft(t, h.service.Modules, "drafted", module("Drafted", []string{"a"}, "a"))
	catalogtest.Draft(t, h.service.Modules, "other", module("Other, edited", []string{"a"}))
	catalogtest.Publish(t, h.service.Paths, "way", catalogtest.Path("a", "other"), catalog.Publication{})
	catalogtest.Publish(t, h.service.Paths, "only", catalogtest.Path("a"), catalog.Publication{})
	catalogtest.Publish(t, h.service.Paths, "elsewhere", catalogtest.Path("other"), catalog.Publication{})
	catalogtest.Draft(t, h.service.Paths, "drafted", catalogtest.Path("a"))
	catalogtest.Draft(t, h.service.Paths, "elsewhere", catalogtest.Path("other", "a"))
}

func reasons(violations []*catalogv1.Violation) []string {
	all := []string{}
	for _, v := range violations {
		all = append(all, v.GetField()+" "+v.GetReason())
	}
	return all
}

func TestPreviewArchiveModule(t *testing.T) {
	progress, _, _ := counted()
	h := newHarnessWith(t, progress)
	shelve(t, h)
	author := h.as(t, auth.RoleAuthor)
	preview := func(id string, sunset *timestamppb.Timestamp) *catalogv1.PreviewArchiveModuleResponse {
		t.Helper()
		resp, err := h.PreviewArchiveModule(author, &catalogv1.PreviewArchiveModuleRequest{ModuleId: id, SunsetTime: sunset})
		must(t, err)
		return resp
	}
	before, err := h.ListCatalogChanges(author, &catalogv1.ListCatalogChangesRequest{})
	must(t, err)
	got := preview("a", timestamppb.New(h.clock.now().Add(time.Hour)))
	want := &catalogv1.PreviewArchiveModuleResponse{
		PathIds: []string{"only", "way"}, PrerequisiteOfModuleIds: []string{"after"}, CreditsModuleIds: []string{"credited"},
		DraftModuleIds: []string{"drafted", "other"}, DraftPathIds: []string{"drafted", "elsewhere"}, Impact: anArchive(),
	}
	if w := reasons(got.GetWarnings()); !slices.Equal(w, []string{"paths/only milestones[0] PATH_CANNOT_BE_FINISHED"}) {
		t.Errorf("warnings %v", got.GetWarnings())
	}
	if got.Warnings = nil; !proto.Equal(got, want) {
		t.Errorf("got\n%v, want\n%v", got, want)
	}
	past := preview("a", timestamppb.New(h.clock.now().Add(-time.Hour)))
	if r := reasons(past.GetViolations()); !slices.Equal(r, []string{"sunsetTime SUNSET_IN_PAST"}) || past.GetImpact() != nil {
		t.Errorf("a sunset in the past: %v", past)
	}
	for _, id := range []string{"gone", "drafted"} {
		resp := preview(id, nil)
		if r := reasons(resp.GetViolations()); !slices.Equal(r, []string{"state NOT_ACTIVE"}) || resp.GetImpact() != nil || len(resp.GetWarnings()) > 0 {
			t.Errorf("%s: %v", id, resp)
		}
	}
	if other := preview("other", nil); other.GetImpact() != nil || len(other.GetViolations()) > 0 {
		t.Errorf("without an impact: %v", other)
	}
	_, err = h.PreviewArchiveModule(author, &catalogv1.PreviewArchiveModuleRequest{ModuleId: "none"})
	wantStatus(t, err, codes.NotFound, "MODULE_NOT_FOUND")
	_, err = h.PreviewArchiveModule(h.as(t, auth.RoleLearner), &catalogv1.PreviewArchiveModuleRequest{ModuleId: "a"})
	wantStatus(t, err, codes.PermissionDenied, "ROLE_REQUIRED")
	after, err := h.ListCatalogChanges(author, &catalogv1.ListCatalogChangesRequest{})
	if err != nil || !proto.Equal(before, after) {
		t.Errorf("a preview changed the catalog: %v, %v", after, err)
	}
	// What the preview names is what then cannot be published.
	_, err = h.ArchiveModule(author, &catalogv1.ArchiveModuleRequest{ModuleId: "a"})
	must(t, err)
	for _, id := range want.GetDraftModuleIds() {
		_, err := h.PublishModule(author, &catalogv1.PublishModuleRequest{ModuleId: id, ChangeClass: changeOf(id)})
		wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "prerequisites[0] ARCHIVED_MODULE")
	}
	for _, id := range want.GetDraftPathIds() {
		_, err := h.PublishPath(author, &catalogv1.PublishPathRequest{PathId: id})
		if err == nil || !strings.Contains(err.Error(), "archived") {
			t.Errorf("path %s: %v", id, err)
		}
	}
}

// changeOf is the change class of publishing the draft: "other" was published before.
func changeOf(id string) catalogv1.ModuleVersion_ChangeClass {
	if id == "other" {
		return catalogv1.ModuleVersion_MINOR
	}
	return catalogv1.ModuleVersion_CHANGE_CLASS_UNSPECIFIED
}

func TestPreviewArchivePath(t *testing.T) {
	progress, _, _ := counted()
	h := newHarnessWith(t, progress)
	shelve(t, h)
	author := h.as(t, auth.RoleAuthor)
	got, err := h.PreviewArchivePath(author, &catalogv1.PreviewArchivePathRequest{PathId: "way"})
	if want := (&catalogv1.PreviewArchivePathResponse{Impact: aPathArchive()}); err != nil || !proto.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	drafted, err := h.PreviewArchivePath(author, &catalogv1.PreviewArchivePathRequest{PathId: "drafted"})
	if err != nil || !slices.Equal(reasons(drafted.GetViolations()), []string{"state NOT_ACTIVE"}) || drafted.GetImpact() != nil {
		t.Errorf("a draft: %v, %v", drafted, err)
	}
	_, err = h.PreviewArchivePath(author, &catalogv1.PreviewArchivePathRequest{PathId: "none"})
	wantStatus(t, err, codes.NotFound, "PATH_NOT_FOUND")
}
