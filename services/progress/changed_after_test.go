package progress_test

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// The modules that are listed as changed after a sequence are those whose answers are not what they were
// then, no more and no fewer, whatever was recorded and voided since.
func TestChangedAfterIsWhatChanged(t *testing.T) {
	r := newRig(t, nil, nil)
	rapid.Check(t, func(rt *rapid.T) {
		learner := newLearner()
		w := drawWorld(rt, learner)
		begin(r, &w, learner)
		ctx := grpc.NewContextWithServerTransportStream(r.Ctx, headers{})
		server := r.Service.Server()
		answers := func() map[string]*progressv1.ModuleProgressDetail {
			out := map[string]*progressv1.ModuleProgressDetail{}
			for _, id := range moduleIDs {
				m, err := server.GetModuleProgress(ctx, &progressv1.GetModuleProgressRequest{LearnerId: learner, ModuleId: id})
				if err != nil {
					rt.Fatal(err)
				}
				out[id] = m.GetProgress()
			}
			return out
		}
		cut := rapid.IntRange(0, len(w.Events)).Draw(rt, "cut")
		var order []int
		for i := range w.Events {
			order = append(order, i)
		}
		if err := send(r.Ctx, &w, r.Service, learner, order[:cut]); err != nil {
			rt.Fatal(err)
		}
		before := answers()
		_, head, err := r.Service.History(r.Ctx, learner, 0, 1)
		if err != nil {
			rt.Fatal(err)
		}
		if err := send(r.Ctx, &w, r.Service, learner, order[cut:]); err != nil {
			rt.Fatal(err)
		}
		for _, i := range rapid.SliceOfN(rapid.SampledFrom(order), 0, 3).Draw(rt, "voided") {
			r.Record(learner, admin(), progress.Event{
				ID: newLearner(), Verb: progress.Voided, VoidsEventID: w.Events[i].ID, Reason: "r", OccurredAt: r.Clock.Now(),
			})
		}
		after := answers()
		want := slices.DeleteFunc(slices.Clone(moduleIDs), func(id string) bool { return proto.Equal(before[id], after[id]) })
		got, err := server.ListModuleProgress(ctx, &progressv1.ListModuleProgressRequest{LearnerId: learner, Path: "p", ChangedAfterSequence: head.Sequence})
		if err != nil {
			rt.Fatal(err)
		}
		ids := []string{}
		for _, m := range got.GetModules() {
			ids = append(ids, m.GetModuleId())
			if is := after[m.GetModuleId()]; !proto.Equal(m, statusOf(is)) {
				rt.Fatalf("listed as\n%v\nand alone as\n%v", m, is)
			}
		}
		if fmt.Sprint(ids) != fmt.Sprint(want) {
			rt.Fatalf("after %d: %v are listed, and %v changed: from\n%v\nto\n%v", head.Sequence, ids, want, before, after)
		}
	})
}

// statusOf is what a list says of a module.
func statusOf(d *progressv1.ModuleProgressDetail) *progressv1.ModuleStatus {
	out := &progressv1.ModuleStatus{
		ModuleId: d.GetModuleId(), Version: d.GetVersion(), State: d.GetState(), Percent: d.Percent, Resume: d.GetResume(), Currency: d.GetCurrency(),
		BlockedBy: d.GetBlockedBy(), Credit: d.Credit, CompleteTime: d.GetCompleteTime(), PreviousPercent: d.PreviousPercent,
		PercentChangeReason: d.GetPercentChangeReason(), RestsOn: d.GetRestsOn(), Excused: d.GetExcused(),
	}
	if n := len(d.GetCycles()); n > 0 {
		out.Cycle = d.GetCycles()[n-1].GetNumber()
	}
	for _, u := range d.GetUnits() {
		if u.GetDone() || u.GetWaived() || u.Progress != nil || u.Score != nil || u.GetAttempts() > 0 {
			out.Units = append(out.Units, &progressv1.UnitStatus{
				UnitId: u.GetUnitId(), Done: u.GetDone(), DoneTime: u.GetDoneTime(), Waived: u.GetWaived(), Progress: u.Progress, Score: u.Score,
				Attempts: u.GetAttempts(),
			})
		}
	}
	return out
}
