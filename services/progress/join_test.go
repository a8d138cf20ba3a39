package progress_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

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

// answers are all that the API says of a learner's progress at several times, byte for byte but
// for sequences, the ids of enrollments, and what the order of arrival may tell.
func (r *rig) answers(service *replica, learner string) string {
	r.t.Helper()
	ctx := grpc.NewContextWithServerTransportStream(r.ctx, headers{})
	server := service.server()
	var out []json.RawMessage
	add := func(m proto.Message, err error) {
		if err != nil {
			r.t.Fatal(err)
		}
		b, err := protojson.Marshal(m)
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, b)
	}
	for _, at := range []int{80, 95, 130, 400} {
		r.clock.set(day(at))
		p, err := server.GetPathProgress(ctx, &progressv1.GetPathProgressRequest{LearnerId: learner, PathId: "p"})
		forget(p.GetProgress())
		add(p, err)
		o, err := server.GetProgress(ctx, &progressv1.GetProgressRequest{LearnerId: learner})
		if err == nil {
			o.AsOfSequence, o.Enrollments = 0, nil
		}
		add(o, err)
		for _, id := range moduleIDs {
			m, err := server.GetModuleProgress(ctx, &progressv1.GetModuleProgressRequest{LearnerId: learner, ModuleId: id})
			if err == nil {
				m.Progress.AsOfSequence = 0
			}
			add(m, err)
		}
	}
	b, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// forget drops from a path's progress what the order of arrival decides.
func forget(p *progressv1.PathProgress) {
	if p == nil {
		return
	}
	p.AsOfSequence, p.Enrollment = 0, nil
	// What the percent was before an upgrade became mandatory is what had arrived by then.
	p.PreviousPercent, p.PercentChangeReason = nil, nil
	for _, ms := range p.GetMilestones() {
		// A late event from before an archiving takes its system waiver back. An award that was
		// latched meanwhile stays, and so tells of the order of arrival. What only the catalog
		// satisfies is latched by the sweep, whenever it comes by.
		if ms.GetCompletedCount() < ms.GetRequiredCount() || slices.ContainsFunc(ms.GetModules(), func(m *progressv1.ModuleProgress) bool {
			return m.GetCredit() == progressv1.ModuleProgress_ARCHIVED_WAIVER
		}) {
			ms.Award = nil
		}
	}
}

// begin makes the world's learner known, enrolled, and in their time zone.
func (r *rig) begin(w *world, learner string) {
	r.t.Helper()
	r.catalog.publish(w.modules, w.paths)
	r.refresh()
	r.setZone(learner, w.zone)
	r.clock.set(day(0))
	r.enroll(learner, "p")
	r.clock.set(day(80)) // received_at is the same for all
}

// setZone says what profile's feed would.
func (r *rig) setZone(learner, zone string) {
	r.t.Helper()
	revision, err := r.store.ZoneRevision(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.store.SaveZones(r.ctx, revision+1, []progress.LearnerZone{{LearnerID: learner, TimeZone: zone}}); err != nil {
		r.t.Fatal(err)
	}
}

// send sends events of the world, by their places, to one replica.
func (w *world) send(ctx context.Context, service *replica, learner string, places []int) error {
	for _, i := range places {
		if _, err := service.Record(ctx, learner, w.actors[i], w.events[i:i+1], engine.AtLeast{}); err != nil {
			return err
		}
	}
	return nil
}

// Any permutation, repetition and interleaving of the same events, through any replica, gives the
// same answers: one learner sends everything in order to one service, their double on another
// database from several devices at once to two of them.
func TestMergeIsAJoin(t *testing.T) {
	mergeIsAJoin(t, newRig(t, nil, nil), newRig(t, nil, nil))
}

func mergeIsAJoin(t *testing.T, plain, torn *rig) {
	t.Helper()
	replicas := []*replica{torn.service, torn.replica()}
	rapid.Check(t, func(rt *rapid.T) {
		learner := newLearner()
		w := drawWorld(rt, learner)
		plain.begin(&w, learner)
		torn.begin(&w, learner)
		for _, s := range replicas {
			torn.refreshed(s)
		}
		var order []int
		for i := range w.events {
			order = append(order, i)
		}
		if err := w.send(plain.ctx, plain.service, learner, order); err != nil {
			rt.Fatal(err)
		}
		torn.tear(rt, &w, replicas, learner, order)
		first := plain.answers(plain.service, learner)
		for _, s := range replicas {
			if second := torn.answers(s, learner); first != second {
				rt.Fatalf("in order:\n%s\ntorn:\n%s", first, second)
			}
		}
		for _, r := range []*rig{plain, torn} {
			if drift, err := r.service.verify(r.ctx, learner); err != nil || len(drift) > 0 {
				rt.Fatalf("folding again differs: %+v %v", drift, err)
			}
		}
	})
}

// tear sends the events shuffled and partly repeated, from up to three devices at once.
func (r *rig) tear(rt *rapid.T, w *world, replicas []*replica, learner string, order []int) {
	again := append(rapid.Permutation(order).Draw(rt, "order"), rapid.SliceOfN(rapid.SampledFrom(order), 0, 5).Draw(rt, "repeats")...)
	var devices sync.WaitGroup
	errs := make(chan error, len(again))
	for part := range slices.Chunk(again, max(1, len(again)/rapid.IntRange(1, 3).Draw(rt, "devices"))) {
		service := rapid.SampledFrom(replicas).Draw(rt, "replica")
		devices.Go(func() { errs <- w.send(r.ctx, service, learner, part) })
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
		for i := range w.modules {
			w.modules[i].State, w.modules[i].Archives = progress.ModuleActive, nil
		}
		r.begin(&w, learner)
		before := map[string]int{}
		for i := range w.events {
			r.record(learner, w.actors[i], w.events[i])
			now := map[string]int{"path": *r.path(learner, "p").Percent()}
			for _, m := range w.modules {
				now[m.ID] = *r.module(learner, m.ID).Percent
			}
			for what, was := range before {
				if now[what] < was {
					rt.Fatalf("%s fell from %d to %d after %+v", what, was, now[what], w.events[i])
				}
			}
			before = now
		}
	})
}

// life is a learner's life in a catalog that changes under them.
type life struct {
	*rig

	learner string
	world   world
	at      time.Time
	sent    []progress.Event
}

// Percent rule 10: folding the log again in sequence order gives exactly what is stored, facts,
// enrollments and awards, whatever learners, admins, authors and clocks did in between.
func TestFoldingAgainGivesWhatIsStored(t *testing.T) {
	r := newRig(t, nil, nil)
	rapid.Check(t, func(rt *rapid.T) {
		l := &life{rig: r, learner: newLearner(), at: day(0)}
		l.world = drawWorld(rt, l.learner)
		l.world.events = nil
		r.catalog.publish(l.world.modules, l.world.paths)
		rt.Repeat(map[string]func(*rapid.T){
			"record": l.record, "void": l.void, "revoke": l.revoke, "enroll": l.enroll, "change": l.change,
			"publish module": l.publishModule, "publish path": l.publishPath, "archive": l.archive, "zone": l.zone, "time": l.passTime,
			"": l.check,
		})
	})
}

func (l *life) check(t *rapid.T) {
	l.clock.set(l.at)
	l.refresh()
	drift, err := l.service.verify(l.ctx, l.learner)
	if err != nil || len(drift) > 0 {
		t.Fatalf("%+v %v", drift, err)
	}
}

func (l *life) record(t *rapid.T) {
	e, actor := drawEvent(t, l.world.modules, l.learner, len(l.sent))
	l.sent = append(l.sent, e)
	l.rig.record(l.learner, actor, e)
}

func (l *life) void(t *rapid.T) {
	if len(l.sent) == 0 {
		t.Skip("nothing to void")
	}
	target := rapid.SampledFrom(l.sent).Draw(t, "target")
	l.rig.record(l.learner, admin(), progress.Event{ID: newLearner(), Verb: progress.Voided, VoidsEventID: target.ID, Reason: "r", OccurredAt: day(1)})
}

func (l *life) revoke(t *rapid.T) {
	awards, _ := read(l.rig, l.learner, "awards", func(w *progress.View) ([]progress.Award, error) { return w.Awards(), nil })
	if len(awards) == 0 {
		t.Skip("nothing to revoke")
	}
	if _, err := l.service.Revoke(l.ctx, l.learner, awards[0].ID, admin(), "r"); err != nil {
		t.Fatal(err)
	}
}

func (l *life) enroll(t *rapid.T) {
	if e := l.enrollment(); e != nil {
		t.Skip("enrolled")
	}
	l.rig.enroll(l.learner, "p")
}

// enrollment is the one that is not withdrawn, or nil.
func (l *life) enrollment() *progress.Enrollment {
	all, _ := read(l.rig, l.learner, "enrollments", func(w *progress.View) ([]progress.Enrollment, error) { return w.Enrollments(), nil })
	for i := range all {
		if all[i].State != progress.EnrollmentWithdrawn {
			return &all[i]
		}
	}
	return nil
}

func (l *life) change(t *rapid.T) {
	e := l.enrollment()
	if e == nil {
		t.Skip("not enrolled")
	}
	change := engine.EnrollmentChange{PathVersion: new(len(l.world.paths[0].Versions))}
	if rapid.Bool().Draw(t, "state") {
		change = engine.EnrollmentChange{State: new(rapid.SampledFrom([]progress.EnrollmentState{
			progress.EnrollmentActive, progress.EnrollmentPaused, progress.EnrollmentWithdrawn,
		}).Draw(t, "to"))}
	}
	if _, err := l.service.UpdateEnrollment(l.ctx, l.learner, e.ID, self(l.learner), change); err != nil {
		t.Fatal(err)
	}
}

func (l *life) publishModule(t *rapid.T) {
	i := rapid.IntRange(0, len(l.world.modules)-1).Draw(t, "module")
	m := l.world.modules[i]
	if len(m.Versions) >= 5 || m.State == progress.ModuleArchived {
		t.Skip("enough versions")
	}
	v := drawVersion(t, len(m.Versions)+1, 0, moduleIDs[:i])
	shift := l.at.Sub(v.PublishTime)
	v.PublishTime, v.EffectiveTime = v.PublishTime.Add(shift), v.EffectiveTime.Add(shift)
	m.Versions = append(slices.Clone(m.Versions), v)
	l.world.modules[i] = m
	l.catalog.publish([]progress.Module{m}, nil)
}

func (l *life) publishPath(t *rapid.T) {
	p := l.world.paths[0]
	if len(p.Versions) >= 5 {
		t.Skip("enough versions")
	}
	ids := rapid.SliceOfNDistinct(rapid.SampledFrom(moduleIDs), 1, 3, rapid.ID[string]).Draw(t, "modules")
	v := progress.PathVersion{Number: len(p.Versions) + 1, Title: "Path", Milestones: []progress.Milestone{milestone("m1", all(ids...))}}
	if rapid.Bool().Draw(t, "mandatory") {
		v.MandateTime = l.at.Add(time.Duration(rapid.IntRange(0, 48).Draw(t, "hours")) * time.Hour)
	}
	p.Versions = append(slices.Clone(p.Versions), v)
	l.world.paths[0] = p
	l.catalog.publish(nil, []progress.Path{p})
}

func (l *life) archive(t *rapid.T) {
	i := rapid.IntRange(0, len(l.world.modules)-1).Draw(t, "module")
	m := l.world.modules[i]
	m.Archives = slices.Clone(m.Archives)
	if n := len(m.Archives); m.State == progress.ModuleArchived {
		m.State, m.Archives[n-1].RestoreTime = progress.ModuleActive, l.at
	} else {
		m.State = progress.ModuleArchived
		m.Archives = append(m.Archives, progress.ArchivePeriod{ArchiveTime: l.at, SunsetTime: l.at.AddDate(0, 0, 3)})
	}
	l.world.modules[i] = m
	l.catalog.publish([]progress.Module{m}, nil)
}

func (l *life) zone(t *rapid.T) {
	l.setZone(l.learner, rapid.SampledFrom(zoneNames).Draw(t, "zone"))
}

func (l *life) passTime(t *rapid.T) {
	l.at = l.at.Add(time.Duration(rapid.IntRange(1, 24*20).Draw(t, "hours")) * time.Hour)
	l.clock.set(l.at)
}
