package grpcapi_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/rpc"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/clients"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
	"github.com/preceptor-dev/preceptor/services/progress/rigtest"
)

// written is a module version with all that progress itself does not read.
func written(number int32, title string, class *catalogv1.ModuleVersion_ChangeClass) *catalogv1.ModuleVersion {
	return &catalogv1.ModuleVersion{
		Number: &number, Topic: "hipaa", Title: title, Summary: "About " + title, Level: "FOUNDATION", Roles: []string{"r"}, Objectives: []string{"To know"},
		Duration: "PT20M", PublishTime: timestamppb.New(day(int(number))), EffectiveTime: timestamppb.New(day(int(number))), ChangeClass: class,
		ContentHash: new(strings.Repeat("ab", 32)),
		Units: []*catalogv1.Unit{{
			Id: "u", Title: "U", Required: new(true), Weight: new(1.0), ContentUri: "https://example.org/" + title, Duration: "PT20M",
			MoveOn: catalogv1.Unit_COMPLETED.Enum(), Kind: catalogv1.Unit_VIDEO,
		}},
	}
}

// A path's content is the versions that the learner is on, as the catalog published them, also while the catalog is
// away. Its ETag changes with the versions, and with nothing else.
func TestPathContent(t *testing.T) {
	t.Parallel()
	a1, a2, b1 := written(1, "A", nil), written(2, "A, anew", catalogv1.ModuleVersion_MINOR.Enum()), written(1, "B", nil)
	path := &catalogv1.PathVersion{
		Number: new(int32(1)), Title: "P", Summary: "Where it leads", Roles: []string{"r"}, PublishTime: timestamppb.New(day0),
		Milestones: []*catalogv1.Milestone{{Id: "m", Title: "M", Summary: "What it means", Groups: []*catalogv1.ModuleGroup{{ModuleIds: []string{"b", "a"}}}}},
	}
	feed := &feedOf{paths: []*catalogv1.PathRecord{{Id: "p", State: catalogv1.Module_ACTIVE, Revision: 9, Versions: []*catalogv1.PathVersion{path}}}}
	publish := func(revision int64, a ...*catalogv1.ModuleVersion) {
		feed.revision = revision
		feed.modules = []*catalogv1.ModuleRecord{
			{Id: "a", State: catalogv1.Module_ACTIVE, Revision: revision, Versions: a},
			{Id: "b", State: catalogv1.Module_ACTIVE, Revision: 9, Versions: []*catalogv1.ModuleVersion{b1}},
		}
	}
	publish(9, a1)
	r := newRig(t, nil, nil)
	r.Clock.Set(day(10))
	r.Service = r.ReplicaWith(engine.Options{Catalog: clients.NewCatalogClient(feed)})
	begun, fresh := r.Learner(), r.Learner()
	ask := func(learner, known string) (*progressv1.PathContent, string) {
		t.Helper()
		h := new(headers)
		ctx := metadata.NewIncomingContext(h.answering(r.Ctx), metadata.Pairs(rpc.KnownKey, "other", rpc.KnownKey, rpc.BareEtag(known)))
		out, err := r.Service.Server().GetPathContent(ctx, &progressv1.GetPathContentRequest{LearnerId: learner, PathId: "p"})
		if err != nil {
			t.Fatal(err)
		}
		if name := h.get(rpc.UnchangedKey); name != "" {
			return out.GetContent(), `"` + name + `"`
		}
		return out.GetContent(), h.get("etag")
	}
	content := func(a *catalogv1.ModuleVersion) *progressv1.PathContent {
		return &progressv1.PathContent{PathId: "p", Version: path, Modules: []*progressv1.ModuleContent{{ModuleId: "b", Version: b1}, {ModuleId: "a", Version: a}}}
	}
	_, err := r.Service.Server().GetPathContent(r.Ctx, &progressv1.GetPathContentRequest{LearnerId: begun, PathId: "p"})
	if reasonOf(err) != errs.ReasonNotEnrolled {
		t.Errorf("without an enrollment: %v", err)
	}
	for _, learner := range []string{begun, fresh} {
		if err := r.Service.Catalog().Refresh(r.Ctx); err != nil {
			t.Fatal(err)
		}
		r.Enroll(learner, "p")
	}
	first, etag := ask(begun, "")
	if !proto.Equal(first, content(a1)) {
		t.Errorf("%v\nwant %v", first, content(a1))
	}
	r.Accept(begun, self(begun), rigtest.OnVersion(event("a", "u", progress.Progressed, day(2)), 1))
	if got, same := ask(begun, etag); same != etag || got != nil {
		t.Errorf("after an event, to who has it: %v of %s, was %s", got, same, etag)
	}
	if got, _ := ask(begun, "another"); !proto.Equal(got, first) {
		t.Errorf("to who has another: %v", got)
	}

	publish(10, a1, a2)
	if err := r.Service.Catalog().Refresh(r.Ctx); err != nil {
		t.Fatal(err)
	}
	// A process that is started while the catalog is away has it from the store.
	r.Catalog.Fail(errors.New("away"))
	r.Service = r.Replica()
	if got, same := ask(begun, ""); same != etag || !proto.Equal(got, content(a1)) {
		t.Errorf("who has begun: %v of %s, was %s", got, same, etag)
	}
	if got, other := ask(fresh, etag); other == etag || !proto.Equal(got, content(a2)) {
		t.Errorf("who has not: %v of %s, was %s", got, other, etag)
	}
}
