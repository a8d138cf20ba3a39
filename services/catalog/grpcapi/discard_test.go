package grpcapi_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
)

func TestDeleteDraft(t *testing.T) {
	h := newHarness(t)
	author := h.as(t, auth.RoleAuthor)
	h.publish(t, "published", moduleV1())
	_, err := h.UpdateModule(author, &catalogv1.UpdateModuleRequest{ModuleId: "published", Content: &catalogv1.ModuleVersion{Title: "In work"}})
	must(t, err)
	etag := h.create(t, "draft", moduleV1()).GetEtag()
	naming := moduleV1()
	naming.Prerequisites = []string{"draft"}
	h.create(t, "naming", naming)

	remove := func(role auth.Role, id, etag string, pairs ...string) error {
		_, err := h.DeleteModule(h.as(t, role, pairs...), &catalogv1.DeleteModuleRequest{ModuleId: id, Etag: etag})
		return err
	}
	wantStatus(t, remove(auth.RoleLearner, "draft", ""), codes.PermissionDenied, "ROLE_REQUIRED")
	wantStatus(t, remove(auth.RoleManager, "draft", ""), codes.PermissionDenied, "ROLE_REQUIRED")
	wantStatus(t, remove(auth.RoleAuthor, "published", ""), codes.FailedPrecondition, "PUBLISHED")
	wantStatus(t, remove(auth.RoleAuthor, "none", ""), codes.NotFound, "MODULE_NOT_FOUND")
	wantStatus(t, remove(auth.RoleAuthor, "draft", "old"), codes.FailedPrecondition, "ETAG_MISMATCH")
	wantStatus(t, remove(auth.RoleAuthor, "draft", "", "if-match", `"old"`), codes.FailedPrecondition, "ETAG_MISMATCH")
	_, err = h.GetModule(author, &catalogv1.GetModuleRequest{ModuleId: "draft"})
	must(t, err)

	must(t, remove(auth.RoleAuthor, "draft", etag))
	_, err = h.GetModule(author, &catalogv1.GetModuleRequest{ModuleId: "draft"})
	wantStatus(t, err, codes.NotFound, "MODULE_NOT_FOUND")
	wantStatus(t, remove(auth.RoleAuthor, "draft", ""), codes.NotFound, "MODULE_NOT_FOUND")
	_, err = h.PublishModule(author, &catalogv1.PublishModuleRequest{ModuleId: "naming"})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "prerequisites[0] UNKNOWN_MODULE")

	h.clock.add(time.Hour)
	again := h.create(t, "draft", moduleV1())
	if again.GetEtag() == etag {
		t.Error("a draft made anew has the etag of the one that was deleted")
	}
	wantStatus(t, remove(auth.RoleAdmin, "draft", etag), codes.FailedPrecondition, "ETAG_MISMATCH")
	_, err = h.PublishModule(author, &catalogv1.PublishModuleRequest{ModuleId: "draft"})
	must(t, err)
	_, err = h.PublishModule(author, &catalogv1.PublishModuleRequest{ModuleId: "naming"})
	must(t, err)
	_, err = h.ArchiveModule(author, &catalogv1.ArchiveModuleRequest{ModuleId: "naming"})
	must(t, err)
	wantStatus(t, remove(auth.RoleAdmin, "naming", ""), codes.FailedPrecondition, "PUBLISHED")
}

func TestDeletePathDraft(t *testing.T) {
	h := newHarness(t)
	author := h.as(t, auth.RoleAuthor)
	content := &catalogv1.PathVersion{Title: "Way", Milestones: []*catalogv1.Milestone{{Id: "m", Title: "M", Groups: []*catalogv1.ModuleGroup{{ModuleIds: []string{"a"}}}}}}
	made, err := h.CreatePath(author, &catalogv1.CreatePathRequest{PathId: "way", Content: content})
	must(t, err)
	// A module of the same id is something else.
	h.publish(t, "a", moduleV1())
	h.publish(t, "way", moduleV1())
	_, err = h.DeletePath(author, &catalogv1.DeletePathRequest{PathId: "way", Etag: "old"})
	wantStatus(t, err, codes.FailedPrecondition, "ETAG_MISMATCH")
	_, err = h.DeletePath(author, &catalogv1.DeletePathRequest{PathId: "way", Etag: made.GetPath().GetEtag()})
	must(t, err)
	_, err = h.GetModule(author, &catalogv1.GetModuleRequest{ModuleId: "way"})
	must(t, err)
	_, err = h.DeletePath(author, &catalogv1.DeletePathRequest{PathId: "way"})
	wantStatus(t, err, codes.NotFound, "PATH_NOT_FOUND")
	_, err = h.CreatePath(author, &catalogv1.CreatePathRequest{PathId: "way", Content: content})
	must(t, err)
	_, err = h.PublishPath(author, &catalogv1.PublishPathRequest{PathId: "way"})
	must(t, err)
	_, err = h.DeletePath(author, &catalogv1.DeletePathRequest{PathId: "way"})
	wantStatus(t, err, codes.FailedPrecondition, "PUBLISHED")
}
