package grpcapi

import (
	"context"

	"google.golang.org/protobuf/proto"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/services/progress"
)

// ExplainPathProgress returns why a path's percent is what it is.
func (g *Server) ExplainPathProgress(ctx context.Context, r *progressv1.ExplainPathProgressRequest) (*progressv1.ExplainPathProgressResponse, error) {
	out := new(progressv1.ExplainPathProgressResponse)
	return out, g.answer(ctx, r.GetLearnerId(), "explain/"+r.GetPathId(), out, func(w *progress.View) (proto.Message, error) {
		x, err := w.Explain(r.GetPathId())
		if err != nil {
			return nil, err
		}
		return &progressv1.ExplainPathProgressResponse{Explanation: explanationProto(x)}, nil
	})
}

func explanationProto(x *progress.PathExplanation) *progressv1.PathExplanation {
	p := &x.Progress
	out := &progressv1.PathExplanation{
		PathId: p.Enrollment.PathID, PathVersion: count(p.Enrollment.PathVersion), Title: p.Title, Percent: countPtr(p.Percent()),
		CompletedCount: count(p.Completed), RequiredCount: count(p.Required), Summary: x.Summary, PreviousPercent: countPtr(p.PreviousPercent),
		PercentChangeReason: changeProto(p.PercentChange), AsOfSequence: p.AsOfSequence, CatalogRevision: x.CatalogRevision,
	}
	for i := range x.Milestones {
		ms := &x.Milestones[i]
		mp := &progressv1.MilestoneExplanation{
			Id: ms.Progress.ID, Title: ms.Progress.Title, Percent: countPtr(ms.Progress.Percent()),
			CompletedCount: count(ms.Progress.Completed), RequiredCount: count(ms.Progress.Required), Summary: ms.Summary,
		}
		if ms.Award != nil {
			mp.Award = awardProtos([]progress.Award{*ms.Award})[0]
		}
		for k := range ms.Groups {
			g := &ms.Groups[k]
			gp := &progressv1.GroupExplanation{ModuleIds: g.Group.ModuleIDs, RequiredCount: countPtr(g.Group.RequiredCount), Summary: g.Summary}
			for j := range g.Modules {
				gp.Modules = append(gp.Modules, moduleExplanationProto(&g.Modules[j]))
			}
			mp.Groups = append(mp.Groups, gp)
		}
		out.Milestones = append(out.Milestones, mp)
	}
	return out
}

func moduleExplanationProto(x *progress.ModuleExplanation) *progressv1.ModuleExplanation {
	m := &x.Progress
	out := &progressv1.ModuleExplanation{
		ModuleId: m.ModuleID, Title: m.Title, Version: count(m.Version), State: moduleState(m.State), Percent: countPtr(m.Percent),
		Credit: creditKind(m.Credit), Cycle: count(x.Cycle), CompleteTime: stamp(m.CompleteTime), Currency: currencyProto(m.Currency),
		Summary: x.Summary, Rule: string(x.Rule), ModuleIds: x.ModuleIDs, Uncounted: eventExplanationProtos(x.Uncounted),
		RestsOn: restProtos(m.RestsOn), Excused: excusedProto(m.Excused),
		PreviousPercent: countPtr(m.PreviousPercent), PercentChangeReason: changeProto(m.PercentChange),
	}
	for i := range x.Units {
		u := &x.Units[i]
		out.Units = append(out.Units, &progressv1.UnitExplanation{
			UnitId: u.Progress.Unit.ID, Title: u.Progress.Unit.Title, Required: u.Progress.Unit.Required, Weight: u.Progress.Unit.Weight,
			Done: !u.Progress.DoneTime.IsZero(), DoneTime: stamp(u.Progress.DoneTime), MoveOn: string(u.MoveOn), Summary: u.Summary,
			Events: eventExplanationProtos(u.Events),
		})
	}
	return out
}

func eventExplanationProtos(events []progress.EventExplanation) []*progressv1.EventExplanation {
	out := make([]*progressv1.EventExplanation, 0, len(events))
	for i := range events {
		e := &events[i].Record.Event
		out = append(out, &progressv1.EventExplanation{
			EventId: e.ID, Sequence: events[i].Record.Sequence, Verb: verbProto(e.Verb), UnitId: e.UnitID, ModuleVersion: count(e.ModuleVersion),
			EffectiveAt: stamp(events[i].Record.EffectiveAt), Summary: events[i].Summary, Reason: string(events[i].Reason),
			LateBy: lateBy(&events[i].Record),
		})
	}
	return out
}
