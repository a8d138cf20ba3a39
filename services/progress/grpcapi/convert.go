package grpcapi

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/services/progress"
)

func eventOf(e *progressv1.ProgressEvent) progress.Event {
	out := progress.Event{
		ID: strings.ToLower(e.GetEventId()), ModuleID: e.GetModuleId(), ModuleVersion: int(e.GetModuleVersion()), UnitID: e.GetUnitId(),
		Score: e.Score, Progress: e.Progress, DeviceID: e.GetDeviceId(), Reason: e.GetReason(), VoidsEventID: strings.ToLower(e.GetVoidsEventId()),
		TimeZone: e.GetTimeZone(),
	}
	if e.GetVerb() != progressv1.ProgressEvent_VERB_UNSPECIFIED {
		out.Verb = progress.Verb(e.GetVerb().String())
	}
	if t := e.GetOccurredAt(); t != nil {
		out.OccurredAt = t.AsTime().Truncate(time.Microsecond)
		if !t.IsValid() || out.OccurredAt.IsZero() { // which is not to say that there is none
			out.OccurredAt = time.Unix(0, 0).UTC() // out of range, as they are
		}
	}
	return out
}

func eventProto(e *progress.Event) *progressv1.ProgressEvent {
	return &progressv1.ProgressEvent{
		EventId: e.ID, ModuleId: e.ModuleID, ModuleVersion: int32(e.ModuleVersion), UnitId: e.UnitID,
		Verb:  verbProto(e.Verb),
		Score: e.Score, Progress: e.Progress, OccurredAt: stamp(e.OccurredAt), DeviceId: e.DeviceID, Reason: e.Reason, VoidsEventId: e.VoidsEventID,
		TimeZone: e.TimeZone,
	}
}

func verbProto(v progress.Verb) progressv1.ProgressEvent_Verb {
	return progressv1.ProgressEvent_Verb(progressv1.ProgressEvent_Verb_value[string(v)])
}

func resultProto(id string, r *progress.Result) *progressv1.EventResult {
	out := &progressv1.EventResult{EventId: id, Status: progressv1.EventResult_Status(progressv1.EventResult_Status_value[string(r.Status)])}
	if r.Reason != "" {
		out.Reason, out.Description = &r.Reason, &r.Description
	}
	if r.Sequence != 0 {
		out.Sequence = &r.Sequence
	}
	if n := r.Note; n != nil {
		out.Note = &progressv1.EventNote{Code: progressv1.EventNote_Code(progressv1.EventNote_Code_value[string(n.Code)]), Time: stamp(n.Time)}
	}
	return out
}

func entryProto(r *progress.Record) *progressv1.LogEntry {
	out := &progressv1.LogEntry{
		Sequence: r.Sequence, Type: progressv1.LogEntry_Type(progressv1.LogEntry_Type_value[string(r.Type)]),
		ReceivedAt: stamp(r.ReceivedAt), EffectiveAt: stamp(r.EffectiveAt), EffectiveAtAdjusted: r.Adjusted, Actor: r.ActorID, Reason: why(r.Reason),
		TimeZone: cmp.Or(r.Zone, utc), LateBy: lateBy(r),
	}
	if r.Effects != nil {
		out.Awards = awardProtos(r.Effects.Awards)
	}
	if r.Type == progress.RecordEvent {
		out.Event = eventProto(&r.Event)
	}
	if e := r.Enrollment(); e != nil {
		out.Enrollment = enrollmentProto(e)
	}
	return out
}

// utc is the zone of records that name none.
const utc = "UTC"

// lateBy is how late a record was reported, in days, hours, minutes and seconds; nil where it was not late.
func lateBy(r *progress.Record) *string {
	left := r.LateBy()
	if left == 0 {
		return nil
	}
	const day = 24 * time.Hour
	b := fmt.Appendf(nil, "P%dD", left/day)
	left %= day
	if left >= time.Second {
		b = append(b, 'T')
	}
	for _, u := range []struct {
		size   time.Duration
		letter byte
	}{{time.Hour, 'H'}, {time.Minute, 'M'}, {time.Second, 'S'}} {
		if n := left / u.size; n > 0 {
			b = append(strconv.AppendInt(b, int64(n), 10), u.letter)
		}
		left %= u.size
	}
	return new(string(b))
}

func enrollmentProto(e *progress.Enrollment) *progressv1.Enrollment {
	return &progressv1.Enrollment{
		Id: e.ID, PathId: e.PathID, PathVersion: count(e.PathVersion), State: enrollmentState(e.State),
		EnrollTime: stamp(e.EnrollTime), UpdateTime: stamp(e.UpdateTime), Etag: e.ETag(),
	}
}

func standingProto(w *progress.View, e progress.Enrollment) *progressv1.Enrollment {
	p := enrollmentProto(&e)
	p.State = enrollmentState(w.StateOf(e))
	return p
}

func enrollmentState(s progress.EnrollmentState) progressv1.Enrollment_State {
	return progressv1.Enrollment_State(progressv1.Enrollment_State_value[string(s)])
}

func awardProtos(awards []progress.Award) []*progressv1.Award {
	out := make([]*progressv1.Award, 0, len(awards))
	for i := range awards {
		a := &awards[i]
		p := &progressv1.Award{
			Id:          a.ID,
			PathId:      a.PathID,
			PathVersion: count(a.PathVersion),
			MilestoneId: a.MilestoneID,
			Title:       a.Title,
			AwardTime:   stamp(a.AwardTime),
			Number:      count(a.Number),
			State:       progressv1.Award_ACTIVE,
			Provisional: a.Provisional,
		}
		for _, c := range a.Completions {
			p.Completions = append(
				p.Completions,
				&progressv1.Completion{ModuleId: c.ModuleID, Version: count(c.Version), Cycle: count(c.Cycle), CompleteTime: stamp(c.CompleteTime)},
			)
		}
		for _, g := range a.Rule.Groups {
			p.Rule = append(p.Rule, &progressv1.AwardGroup{ModuleIds: g.ModuleIDs, RequiredCount: countPtr(g.RequiredCount)})
		}
		if a.Revoked() {
			p.State, p.RevokeTime, p.Reason = progressv1.Award_REVOKED, stamp(a.RevokeTime), &a.RevokeReason
		}
		out = append(out, p)
	}
	return out
}

func currencyProto(c *progress.Currency) *progressv1.Currency {
	if c == nil {
		return nil
	}
	return &progressv1.Currency{
		State:      progressv1.Currency_State(progressv1.Currency_State_value[string(c.State)]),
		ExpireTime: stamp(c.ExpireTime), WindowOpenTime: stamp(c.WindowOpenTime), GraceEndTime: stamp(c.GraceEndTime),
	}
}

func moduleState(s progress.ModuleProgressState) progressv1.ModuleProgress_State {
	return progressv1.ModuleProgress_State(progressv1.ModuleProgress_State_value[string(s)])
}

func creditKind(k progress.CreditKind) *progressv1.ModuleProgress_CreditKind {
	if k == "" {
		return nil
	}
	return progressv1.ModuleProgress_CreditKind(progressv1.ModuleProgress_CreditKind_value[string(k)]).Enum()
}

func moduleProto(m *progress.ModuleProgress) *progressv1.ModuleProgress {
	return &progressv1.ModuleProgress{
		ModuleId: m.ModuleID, Title: m.Title, Version: count(m.Version), State: moduleState(m.State), Percent: countPtr(m.Percent),
		Currency: currencyProto(m.Currency), BlockedBy: m.BlockedBy, Credit: creditKind(m.Credit), CompleteTime: stamp(m.CompleteTime),
		PreviousPercent: countPtr(m.PreviousPercent), PercentChangeReason: changeProto(m.PercentChange),
		RestsOn: restProtos(m.RestsOn), Excused: excusedProto(m.Excused),
	}
}

func restProtos(rests []progress.Rest) []*progressv1.RestsOn {
	out := make([]*progressv1.RestsOn, 0, len(rests))
	for _, r := range rests {
		out = append(out, &progressv1.RestsOn{ModuleId: r.ModuleID, Cycle: count(r.Cycle)})
	}
	return out
}

func excusedProto(x *progress.Excused) *progressv1.Excused {
	if x == nil {
		return nil
	}
	return &progressv1.Excused{Since: stamp(x.Since), Reason: progressv1.Excused_Reason(progressv1.Excused_Reason_value[string(x.Reason)])}
}

func changeProto(c *progress.PercentChange) *progressv1.PercentChange {
	if c == nil {
		return nil
	}
	out := &progressv1.PercentChange{
		Code: progressv1.PercentChange_Code(progressv1.PercentChange_Code_value[string(c.Code)]), ModuleId: why(c.ModuleID), Description: c.Text(),
	}
	if c.PathVersion != 0 {
		out.PathVersion = new(count(c.PathVersion))
	}
	if c.ModuleVersion != 0 {
		out.ModuleVersion = new(count(c.ModuleVersion))
	}
	return out
}

// why is a text where there is one.
func why(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func pathProto(p *progress.PathProgress) *progressv1.PathProgress {
	out := &progressv1.PathProgress{
		PathId: p.Enrollment.PathID, PathVersion: count(p.Enrollment.PathVersion), State: enrollmentState(p.State), Percent: countPtr(p.Percent()),
		CompletedCount: count(p.Completed), RequiredCount: count(p.Required), AsOfSequence: p.AsOfSequence, Enrollment: enrollmentProto(&p.Enrollment),
		Next: stepProtos(p.Next), PreviousPercent: countPtr(p.PreviousPercent), PercentChangeReason: changeProto(p.PercentChange),
		Title: p.Title,
	}
	out.Enrollment.State = enrollmentState(p.State)
	if u := p.Upgrade; u != nil {
		out.Upgrade = &progressv1.Upgrade{
			Version: count(u.Version), AddedModuleIds: u.AddedModuleIDs, RemovedModuleIds: u.RemovedModuleIDs,
			Mandatory: !u.MandateTime.IsZero(), MandateTime: stamp(u.MandateTime),
		}
	}
	for i := range p.Milestones {
		m := &p.Milestones[i]
		mp := &progressv1.MilestoneProgress{
			Id:             m.ID,
			Title:          m.Title,
			Percent:        countPtr(m.Percent()),
			CompletedCount: count(m.Completed),
			RequiredCount:  count(m.Required),
		}
		if m.Award != nil {
			mp.Award = &progressv1.AwardRef{Id: m.Award.ID, AwardTime: stamp(m.Award.AwardTime), Provisional: m.Award.Provisional}
		}
		for k := range m.Modules {
			mp.Modules = append(mp.Modules, moduleProto(&m.Modules[k]))
		}
		out.Milestones = append(out.Milestones, mp)
	}
	return out
}

func stepProtos(steps []progress.NextStep) []*progressv1.NextStep {
	out := make([]*progressv1.NextStep, 0, len(steps))
	for _, s := range steps {
		out = append(out, &progressv1.NextStep{
			ModuleId: s.ModuleID, UnitId: s.UnitID, Title: s.Title,
			Reason: progressv1.NextStep_Reason(progressv1.NextStep_Reason_value[string(s.Reason)]),
		})
	}
	return out
}

func overviewProto(o *progress.Overview) *progressv1.GetProgressResponse {
	out := &progressv1.GetProgressResponse{
		Next: stepProtos(o.Next), AsOfSequence: o.AsOfSequence,
		Streak: &progressv1.Streak{
			CurrentDays: count(o.Streak.CurrentDays), LongestDays: count(o.Streak.LongestDays),
			LastActiveDate: o.Streak.LastActiveDate, TimeZone: o.Streak.TimeZone,
		},
	}
	for i := range o.Paths {
		p := &o.Paths[i]
		out.Enrollments = append(out.Enrollments, &progressv1.EnrollmentSummary{
			Id: p.Enrollment.ID, PathId: p.Enrollment.PathID, PathVersion: count(p.Enrollment.PathVersion), State: enrollmentState(p.State),
			EnrollTime: stamp(p.Enrollment.EnrollTime), Title: p.Title, Percent: countPtr(p.Percent()), CompletedCount: count(p.Completed),
			RequiredCount: count(p.Required), UpgradeAvailable: p.Upgrade != nil,
		})
	}
	for i := range o.Due {
		out.Due = append(
			out.Due,
			&progressv1.DueModule{ModuleId: o.Due[i].ModuleID, Title: o.Due[i].Title, Currency: currencyProto(&o.Due[i].Currency)},
		)
	}
	return out
}

// count narrows a small number for the wire.
func count(n int) int32 { return int32(n) }

func countPtr(n *int) *int32 {
	if n == nil {
		return nil
	}
	c := count(*n)
	return &c
}
