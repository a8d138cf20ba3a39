package engine_test

import (
	"encoding/json"
	"testing"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// behind starts a replica whose catalog stays as it is now, and may not answer any more at all.
func behind(r *rig, down bool) (replica *rig) {
	other := *r
	other.Catalog = &source{Delta: r.Catalog.Delta}
	other.Service = other.Replica()
	if other.Refresh(); down {
		other.Catalog.Fail(errs.New(errs.Unavailable, "UPSTREAM_UNAVAILABLE", "down"))
	}
	return &other
}

// What one replica has acted on is known to all of them, though they have yet to learn of it from
// the catalog, or cannot: what they answer, and what they store, is as on the one that knows.
func TestReplicasActOnTheNewestCatalogOfAny(t *testing.T) {
	for name, down := range map[string]bool{"which others have yet to fetch": false, "which others cannot reach": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, []progress.Module{module1("a", unit("x"))}, []progress.Path{path1("p", milestone("one", all("a")))})
			reader, writer := behind(r, down), behind(r, down)

			p := path1("p", milestone("one", all("a")))
			p.Versions = append(p.Versions, progress.PathVersion{
				Number: 2, Title: "Path", Milestones: []progress.Milestone{milestone("both", all("a", "b"))},
			})
			r.Catalog.Publish([]progress.Module{module1("b", unit("x"))}, []progress.Path{p})
			learner, second := r.Learner(), r.Learner()
			for _, id := range []string{learner, second} {
				r.Enroll(id, "p")
				r.Accept(id, self(id), event("b", "x", progress.Completed, day(1)))
			}
			same(t, r.Path(learner, "p"), reader.Path(learner, "p"))
			same(t, r.Module(learner, "b"), reader.Module(learner, "b"))

			late := writer.Accept(second, self(second), event("a", "x", progress.Completed, day(1)))
			if len(late.Awards) != 1 || late.Awards[0].MilestoneID != "both" || late.Awards[0].PathVersion != 2 {
				t.Errorf("awards are %+v", late.Awards)
			}
			same(t, r.Path(second, "p"), writer.Path(second, "p"))
		})
	}
}

func same(t *testing.T, want, got any) {
	t.Helper()
	a, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(got)
	if err != nil || string(a) != string(b) {
		t.Errorf("%s, %v; want %s", b, err, a)
	}
}
