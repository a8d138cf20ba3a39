package grpcapi

import (
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/services/progress"
)

func moduleDetailProto(m *progress.ModuleDetail) *progressv1.ModuleProgressDetail {
	out := &progressv1.ModuleProgressDetail{
		ModuleId: m.ModuleID, Title: m.Title, Version: count(m.Version), State: moduleState(m.State), Percent: countPtr(m.Percent),
		Currency: currencyProto(m.Currency), BlockedBy: m.BlockedBy, Credit: creditKind(m.Credit),
		CompleteTime: stamp(m.CompleteTime), PreviousPercent: countPtr(m.PreviousPercent), PercentChangeReason: changeProto(m.PercentChange),
		Units: unitProtos(m.Units), RestsOn: restProtos(m.RestsOn), Excused: excusedProto(m.Excused),
	}
	for i := range m.Cycles {
		out.Cycles = append(out.Cycles, cycleProto(&m.Cycles[i]))
	}
	out.Resume = resumeProto(m.Resume)
	return out
}

func resumeProto(r *progress.Resume) *progressv1.ResumePosition {
	if r == nil {
		return nil
	}
	return &progressv1.ResumePosition{UnitId: r.UnitID, Progress: r.Progress, OccurredAt: stamp(r.OccurTime())}
}

func cycleProto(c *progress.CycleProgress) *progressv1.Cycle {
	out := &progressv1.Cycle{
		Number:         count(c.Number),
		Opening:        progressv1.Cycle_Opening(progressv1.Cycle_Opening_value[string(c.Opening)]),
		BeginTime:      stamp(c.BeginTime),
		CompleteTime:   stamp(c.CompleteTime),
		ExpireTime:     stamp(c.ExpireTime),
		WindowOpenTime: stamp(c.WindowOpenTime),
		Waived:         c.Waived,
		Percent:        countPtr(c.Percent),
		Units:          unitProtos(c.Units),
	}
	if c.Version != 0 {
		out.Version = new(count(c.Version))
	}
	return out
}

func unitProtos(units []progress.UnitProgress) []*progressv1.UnitProgress {
	out := make([]*progressv1.UnitProgress, 0, len(units))
	for i := range units {
		u := &units[i]
		p := &progressv1.UnitProgress{
			UnitId: u.Unit.ID, Title: u.Unit.Title, Required: u.Unit.Required, Weight: u.Unit.Weight, Done: !u.DoneTime.IsZero(), DoneTime: stamp(u.DoneTime),
			Waived: u.Waived, Progress: u.Progress, Score: u.Score, Attempts: count(u.Attempts),
		}
		for _, a := range u.Results {
			p.Results = append(p.Results, &progressv1.Attempt{
				EventId: a.EventID, Verb: verbProto(a.Verb), Score: a.Score, OccurredAt: stamp(a.OccurredAt),
				EffectiveAt: stamp(a.EffectiveAt), ModuleVersion: count(a.ModuleVersion), DeviceId: a.DeviceID,
			})
		}
		out = append(out, p)
	}
	return out
}
