package grpcapi_test

import (
	"context"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/clients"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// feedOf is a catalog client whose feed is some modules and paths, whole, whatever was read before.
type feedOf struct {
	catalogv1.CatalogServiceClient

	modules  []*catalogv1.ModuleRecord
	paths    []*catalogv1.PathRecord
	revision int64
}

func (f feedOf) SyncCatalog(context.Context, *catalogv1.SyncCatalogRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[catalogv1.SyncCatalogResponse], error) {
	s := new(feedStream)
	for _, m := range f.modules {
		s.items = append(s.items, &catalogv1.SyncCatalogResponse{Item: &catalogv1.SyncCatalogResponse_Module{Module: m}})
	}
	for _, p := range f.paths {
		s.items = append(s.items, &catalogv1.SyncCatalogResponse{Item: &catalogv1.SyncCatalogResponse_Path{Path: p}})
	}
	s.items = append(s.items, &catalogv1.SyncCatalogResponse{Item: &catalogv1.SyncCatalogResponse_Revision{Revision: f.revision}})
	return s, nil
}

type feedStream struct {
	grpc.ClientStream

	items []*catalogv1.SyncCatalogResponse
}

func (s *feedStream) Recv() (*catalogv1.SyncCatalogResponse, error) {
	if len(s.items) == 0 {
		return nil, io.EOF
	}
	next := s.items[0]
	s.items = s.items[1:]
	return next, nil
}

// Over the API, a unit of the draft has changed where anything of it has, though progress stores only some of it.
func TestModuleImpactComparesWholeUnits(t *testing.T) {
	t.Parallel()
	published := &catalogv1.ModuleVersion{
		Number: new(int32(1)), Title: "A", PublishTime: timestamppb.New(day0), EffectiveTime: timestamppb.New(day0),
		Units: []*catalogv1.Unit{{
			Id: "u", Title: "U", Required: new(true), Weight: new(1.0), ContentUri: "https://example.org/1",
			MoveOn: catalogv1.Unit_COMPLETED.Enum(),
		}},
	}
	r := newRig(t, nil, nil)
	record := &catalogv1.ModuleRecord{Id: "a", State: catalogv1.Module_ACTIVE, Revision: 9, Versions: []*catalogv1.ModuleVersion{published}}
	feed := feedOf{modules: []*catalogv1.ModuleRecord{record}, revision: 9}
	r.Service = r.ReplicaWith(engine.Options{Catalog: clients.NewCatalogClient(feed)})
	learner := newLearner()
	r.Accept(learner, self(learner), event("a", "u", progress.Completed, day0))
	server := r.Service.Server()
	count := func(uri string) (*catalogv1.ModuleImpact, error) {
		draft := proto.CloneOf(published)
		draft.Number, draft.ChangeClass, draft.Retake = new(int32(2)), catalogv1.ModuleVersion_MATERIAL.Enum(), catalogv1.ModuleVersion_CHANGED_UNITS.Enum()
		draft.Units[0].ContentUri = uri
		answer, err := server.CountModuleImpact(r.Ctx, &progressv1.CountModuleImpactRequest{ModuleId: "a", Draft: draft})
		return answer.GetImpact(), err
	}
	for uri, want := range map[string]int64{"https://example.org/1": 0, "https://example.org/2": 1} {
		got, err := count(uri)
		if err != nil || got.GetLearnersCompleted() != 1 || got.GetLearnersToRetrain() != want {
			t.Errorf("%s: %+v, want %d to retrain, %v", uri, got, want, err)
		}
	}
	_, err := server.CountModuleImpact(r.Ctx, &progressv1.CountModuleImpactRequest{ModuleId: "a", Draft: &catalogv1.ModuleVersion{Number: new(int32(7))}})
	if errs.KindOf(err) != errs.Unavailable {
		t.Errorf("a version too far: %v", err)
	}
}
