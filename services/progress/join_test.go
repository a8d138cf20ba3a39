package progress_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// headers takes the headers of calls that come over no network.
type headers struct{ grpc.ServerTransportStream }

func (headers) SetHeader(metadata.MD) error { return nil }

// answersOf are all that the API says of a learner's progress at several times, byte for byte but
// for sequences, the ids of enrollments, and what depends on the order of arrival.
func answersOf(r *rig, service *replica, learner string) string {
	r.T.Helper()
	ctx := grpc.NewContextWithServerTransportStream(r.Ctx, headers{})
	server := service.Server()
	var out []json.RawMessage
	add := func(m proto.Message, err error) {
		if err != nil {
			r.T.Fatal(err)
		}
		b, err := protojson.Marshal(m)
		if err != nil {
			r.T.Fatal(err)
		}
		out = append(out, b)
	}
	for _, at := range []int{80, 95, 130, 400} {
		r.Clock.Set(day(at))
		p, err := server.GetPathProgress(ctx, &progressv1.GetPathProgressRequest{LearnerId: learner, PathId: "p"})
		forget(p.GetProgress())
		add(p, err)
		o, err := server.GetProgress(ctx, &progressv1.GetProgressRequest{LearnerId: learner})
		if err == nil {
			o.AsOfSequence, o.Enrollments = 0, nil
		}
		add(o, err)
		for _, id := range moduleIDs {
			add(server.GetModuleProgress(ctx, &progressv1.GetModuleProgressRequest{LearnerId: learner, ModuleId: id}))
		}
	}
	b, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		r.T.Fatal(err)
	}
	return string(b)
}

// forget drops from a path's progress what the order of arrival decides.
func forget(p *progressv1.PathProgress) {
	if p == nil {
		return
	}
	p.AsOfSequence, p.Enrollment = 0, nil
	// What the percent was before an upgrade became mandatory, or before a late event showed that a
	// module was begun in time, is what had arrived by then.
	p.PreviousPercent, p.PercentChangeReason = nil, nil
	for _, ms := range p.GetMilestones() {
		// A late event may show that an excused module was begun in time. An award that was latched
		// meanwhile stays, and so depends on the order of arrival. What only the catalog satisfies is
		// latched by the sweep, whenever it comes by.
		if ms.GetCompletedCount() < ms.GetRequiredCount() || ms.GetRequiredCount() == 0 {
			ms.Award = nil
		}
		if ms.GetAward() != nil {
			ms.Award.Provisional = false
		}
	}
}

// begin makes the world's learner known, enrolled, and in their time zone.
func begin(r *rig, w *world, learner string) {
	r.T.Helper()
	r.Catalog.Publish(w.Modules, w.Paths)
	r.Refresh()
	r.SetZone(learner, w.Zone)
	r.Clock.Set(day(0))
	r.Enroll(learner, "p")
	r.Clock.Set(day(80)) // received_at is the same for all
}

// send sends events of the world, by their places, to one replica.
func send(ctx context.Context, w *world, service *replica, learner string, places []int) error {
	for _, i := range places {
		if _, err := service.Record(ctx, engine.Recording{LearnerID: learner, Actor: w.Actors[i], Events: w.Events[i : i+1]}); err != nil {
			return err
		}
	}
	return nil
}

// Any permutation, repetition and interleaving of the same events, through any replica, gives the
// same returns: one learner sends everything in order to one service, their double on another
// database from several devices at once to two of them.
func TestMergeIsAJoin(t *testing.T) {
	mergeIsAJoin(t, newRig(t, nil, nil), newRig(t, nil, nil))
}

func mergeIsAJoin(t *testing.T, plain, torn *rig) {
	t.Helper()
	replicas := []*replica{torn.Service, torn.Replica()}
	rapid.Check(t, func(rt *rapid.T) {
		learner := newLearner()
		w := drawWorld(rt, learner)
		begin(plain, &w, learner)
		begin(torn, &w, learner)
		for _, s := range replicas {
			torn.Refreshed(s)
		}
		var order []int
		for i := range w.Events {
			order = append(order, i)
		}
		if err := send(plain.Ctx, &w, plain.Service, learner, order); err != nil {
			rt.Fatal(err)
		}
		tear(torn, rt, &w, replicas, learner, order)
		first := answersOf(plain, plain.Service, learner)
		for _, s := range replicas {
			if second := answersOf(torn, s, learner); first != second {
				rt.Fatalf("in order:\n%s\ntorn:\n%s", first, second)
			}
		}
		for _, r := range []*rig{plain, torn} {
			if drift, err := r.Service.Verify(r.Ctx, learner); err != nil || len(drift) > 0 {
				rt.Fatalf("folding again differs: %+v %v", drift, err)
			}
		}
	})
}

// tear sends the events shuffled and partly repeated, from up to three devices at once.
func tear(r *rig, rt *rapid.T, w *world, replicas []*replica, learner string, order []int) {
	again := append(rapid.Permutation(order).Draw(rt, "order"), rapid.SliceOfN(rapid.SampledFrom(order), 0, 5).Draw(rt, "repeats")...)
	var devices sync.WaitGroup
	errs := make(chan error, len(again))
	for part := range slices.Chunk(again, max(1, len(again)/rapid.IntRange(1, 3).Draw(rt, "devices"))) {
		service := rapid.SampledFrom(replicas).Draw(rt, "replica")
		devices.Go(func() { errs <- send(r.Ctx, w, service, learner, part) })
	}
	devices.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			rt.Fatal(err)
		}
	}
}

// Percent rule 6: only a void, an upgrade or a MATERIAL version taking effect lowers a percent;
// an event of the learner's own never does, whenever it arrives.
func TestPercentRule6EventsNeverLowerIt(t *testing.T) {
	r := newRig(t, nil, nil)
	rapid.Check(t, func(rt *rapid.T) {
		learner := newLearner()
		w := drawWorld(rt, learner)
		for i := range w.Modules {
			w.Modules[i].State, w.Modules[i].Archives = progress.ModuleActive, nil
		}
		begin(r, &w, learner)
		before := map[string]int{}
		for i := range w.Events {
			r.Record(learner, w.Actors[i], w.Events[i])
			now := map[string]int{"path": *r.Path(learner, "p").Percent()}
			for _, m := range w.Modules {
				now[m.ID] = *r.Module(learner, m.ID).Percent
			}
			for what, was := range before {
				if now[what] < was {
					rt.Fatalf("%s fell from %d to %d after %+v", what, was, now[what], w.Events[i])
				}
			}
			before = now
		}
	})
}

// Percent rule 10: folding the log again in sequence order gives exactly what is stored, facts,
// enrollments and awards, whatever learners, admins, authors and clocks did in between.
func TestFoldingAgainGivesWhatIsStored(t *testing.T) {
	r := newRig(t, nil, nil)
	rapid.Check(t, func(rt *rapid.T) {
		l := &life{Rig: r, Learner: newLearner(), At: day(0)}
		l.World = drawWorld(rt, l.Learner)
		l.World.Events = nil
		r.Catalog.Publish(l.World.Modules, l.World.Paths)
		r.Refresh() // no event is folded by the world before
		rt.Repeat(map[string]func(*rapid.T){
			"record": l.Record, "void": l.Void, "revoke": l.Revoke, "reinstate": l.Reinstate, "enroll": l.Enroll, "change": l.Change,
			"publish module": l.PublishModule, "publish path": l.PublishPath, "archive": l.Archive, "zone": l.Zone, "time": l.PassTime,
			"": l.Check,
		})
	})
}
