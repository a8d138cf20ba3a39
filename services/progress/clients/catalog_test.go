package clients_test

import (
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/clients"
)

func TestPathVersionOf(t *testing.T) {
	published := time.Date(2026, time.March, 1, 12, 0, 0, 1000, time.UTC)
	v := &catalogv1.PathVersion{
		Number: new(int32(2)), Title: "Way", PublishTime: timestamppb.New(published), MandateTime: timestamppb.New(published.Add(time.Hour)),
		Milestones: []*catalogv1.Milestone{{Id: "m", Title: "M", Groups: []*catalogv1.ModuleGroup{
			{ModuleIds: []string{"a", "b"}, RequiredCount: new(int32(1))}, {ModuleIds: []string{"c"}},
		}}},
	}
	want := progress.PathVersion{
		Number: 2, Title: "Way", PublishTime: published, MandateTime: published.Add(time.Hour),
		Milestones: []progress.Milestone{{ID: "m", Title: "M", Groups: []progress.Group{
			{ModuleIDs: []string{"a", "b"}, RequiredCount: new(1)}, {ModuleIDs: []string{"c"}},
		}}},
	}
	if got := clients.PathVersionOf(v); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	v.MandateTime = nil
	want.MandateTime = time.Time{}
	if got := clients.PathVersionOf(v); !reflect.DeepEqual(got, want) {
		t.Errorf("not mandatory: got\n%+v, want\n%+v", got, want)
	}
}
