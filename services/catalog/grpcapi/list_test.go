package grpcapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// listed reads all pages of a list of modules.
func (h *harness) listed(t *testing.T, role auth.Role, req *catalogv1.ListModulesRequest) []string {
	t.Helper()
	var all []string
	for {
		resp, err := h.ListModules(h.as(t, role), req)
		must(t, err)
		for _, m := range resp.GetModules() {
			all = append(all, m.GetId())
		}
		if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
			return all
		}
	}
}

func TestListOrders(t *testing.T) {
	h := newHarness(t)
	for id, title := range map[string]string{"a": "gamma", "b": "Alpha", "c": "BETA", "d": "alpha", "e": strings.Repeat("é", 200)} {
		content := moduleV1()
		content.Title = title
		h.publish(t, id, content)
	}
	h.create(t, "unborn", moduleV1())
	for order, want := range map[string]string{
		"":                  "a b c d e",
		"id desc":           "e d c b a",
		"title":             "b d c a e",
		"title desc":        "e a c d b",
		"publish_time desc": "e d c b a",
	} {
		for size := int32(1); size <= 5; size++ {
			got := h.listed(t, auth.RoleLearner, &catalogv1.ListModulesRequest{OrderBy: order, PageSize: size})
			if !slices.Equal(got, strings.Fields(want)) {
				t.Errorf("%q in pages of %d: %v, want %s", order, size, got, want)
			}
		}
	}
	got := h.listed(t, auth.RoleAuthor, &catalogv1.ListModulesRequest{State: catalogv1.Module_DRAFT, OrderBy: "publishTime", PageSize: 1})
	if !slices.Equal(got, []string{"unborn"}) {
		t.Errorf("drafts %v", got)
	}
	learner := h.as(t, auth.RoleLearner)
	_, err := h.ListModules(learner, &catalogv1.ListModulesRequest{OrderBy: "level"})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "orderBy UNKNOWN_VALUE")
	_, err = h.ListPaths(learner, &catalogv1.ListPathsRequest{OrderBy: "title,id"})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "orderBy TOO_MANY")
	first, err := h.ListModules(learner, &catalogv1.ListModulesRequest{OrderBy: "title", PageSize: 1})
	must(t, err)
	for _, order := range []string{"", "title desc", "publishTime"} {
		_, err = h.ListModules(learner, &catalogv1.ListModulesRequest{OrderBy: order, PageToken: first.GetNextPageToken()})
		wantStatus(t, err, codes.InvalidArgument, "BAD_PAGE_TOKEN", "pageToken BAD_PAGE_TOKEN")
	}
}

func TestListIDs(t *testing.T) {
	h := newHarness(t)
	var ids []string
	for i := range 101 {
		ids = append(ids, fmt.Sprintf("m%03d", i))
	}
	for _, id := range ids[:4] {
		h.publish(t, id, moduleV1())
	}
	h.create(t, "unborn", moduleV1())
	for _, c := range []struct {
		req  *catalogv1.ListModulesRequest
		want []string
	}{
		{&catalogv1.ListModulesRequest{Ids: []string{"m003", "none", "m001", "m003", "unborn"}}, []string{"m001", "m003"}},
		{&catalogv1.ListModulesRequest{Ids: ids[:100], PageSize: 1, OrderBy: "id desc"}, []string{"m003", "m002", "m001", "m000"}},
		{&catalogv1.ListModulesRequest{Ids: ids[:2], Topic: "fhir"}, nil},
		{&catalogv1.ListModulesRequest{Ids: []string{"none"}}, nil},
	} {
		if got := h.listed(t, auth.RoleLearner, c.req); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.req, got, c.want)
		}
	}
	learner := h.as(t, auth.RoleLearner)
	first, err := h.ListModules(learner, &catalogv1.ListModulesRequest{Ids: []string{"m001", "m000"}, PageSize: 1, IncludeTotal: true})
	must(t, err)
	if first.GetTotalSize() != 2 {
		t.Errorf("total %d", first.GetTotalSize())
	}
	// The same ids in another order are the same list, others are not.
	next, err := h.ListModules(learner, &catalogv1.ListModulesRequest{Ids: []string{"m000", "m001"}, PageToken: first.GetNextPageToken()})
	if err != nil || len(next.GetModules()) != 1 || next.GetModules()[0].GetId() != "m001" {
		t.Errorf("the second page: %v, %v", next, err)
	}
	_, err = h.ListModules(learner, &catalogv1.ListModulesRequest{Ids: []string{"m000"}, PageToken: first.GetNextPageToken()})
	wantStatus(t, err, codes.InvalidArgument, "BAD_PAGE_TOKEN", "pageToken BAD_PAGE_TOKEN")
	_, err = h.ListModules(learner, &catalogv1.ListModulesRequest{Ids: ids})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "ids TOO_MANY")
	_, err = h.ListPaths(learner, &catalogv1.ListPathsRequest{Ids: []string{"a", "a,b"}})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_ARGUMENT", "ids[1] MALFORMED")
	paths, err := h.ListPaths(learner, &catalogv1.ListPathsRequest{Ids: []string{"m000"}})
	if err != nil || len(paths.GetPaths()) != 0 {
		t.Errorf("paths with a module's id: %v, %v", paths, err)
	}
}

func TestTopicPages(t *testing.T) {
	h := newHarness(t)
	for _, topic := range []string{"ml", "fhir", "hipaa"} {
		content := moduleV1()
		content.Topic = topic
		h.publish(t, "about-"+topic, content)
	}
	learner := h.as(t, auth.RoleLearner)
	first, err := h.ListTopics(learner, &catalogv1.ListTopicsRequest{PageSize: 2})
	must(t, err)
	if topics := first.GetTopics(); len(topics) != 2 || topics[0].GetId() != "fhir" || topics[1].GetId() != "hipaa" {
		t.Errorf("the first page: %v", first)
	}
	second, err := h.ListTopics(learner, &catalogv1.ListTopicsRequest{PageSize: 2, PageToken: first.GetNextPageToken()})
	must(t, err)
	if topics := second.GetTopics(); len(topics) != 1 || topics[0].GetId() != "ml" || second.GetNextPageToken() != "" {
		t.Errorf("the second page: %v", second)
	}
}

func TestListOrdersAreDocumented(t *testing.T) {
	if got := strings.Join(catalog.ListOrders(), " "); got != "id title publishTime" {
		t.Errorf("lists can be ordered by %s: write it in catalog.proto and docs/api.md too", got)
	}
}
