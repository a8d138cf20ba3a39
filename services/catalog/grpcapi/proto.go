package grpcapi

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/services/catalog"
)

// enum is a generated enum type.
type enum interface {
	~int32
	String() string
}

// nameOf is an enum's name; "" for the zero value. A number that has no name stays one,
// for validation to refuse.
func nameOf[N ~string, E enum](e E) N {
	if e == 0 {
		return ""
	}
	return N(e.String())
}

// valueOf is the enum of a name that nameOf gave.
func valueOf[E ~int32, N ~string](values map[string]int32, name N) E {
	if value, ok := values[string(name)]; ok {
		return E(value)
	}
	number, err := strconv.ParseInt(string(name), 10, 32)
	if err != nil {
		return 0
	}
	return E(number)
}

func stateOf(s catalogv1.Module_State) catalog.State { return nameOf[catalog.State](s) }
func classOf(c catalogv1.ModuleVersion_ChangeClass) catalog.ChangeClass {
	return nameOf[catalog.ChangeClass](c)
}
func retakeOf(r catalogv1.ModuleVersion_Retake) catalog.Retake { return nameOf[catalog.Retake](r) }
func stateProto(s catalog.State) catalogv1.Module_State {
	return valueOf[catalogv1.Module_State](catalogv1.Module_State_value, s)
}

func classProto(c catalog.ChangeClass) catalogv1.ModuleVersion_ChangeClass {
	return valueOf[catalogv1.ModuleVersion_ChangeClass](catalogv1.ModuleVersion_ChangeClass_value, c)
}

// moduleContentOf reads what a client may set.
func moduleContentOf(v *catalogv1.ModuleVersion) catalog.ModuleContent {
	content := catalog.ModuleContent{
		Topic: v.GetTopic(), Title: v.GetTitle(), Summary: v.GetSummary(), Level: v.GetLevel(),
		Roles: v.GetRoles(), Objectives: v.GetObjectives(), Prerequisites: v.GetPrerequisites(), Duration: v.GetDuration(),
	}
	for _, c := range v.GetCredits() {
		content.Credits = append(content.Credits, catalog.Credit{ModuleIDs: c.GetModuleIds()})
	}
	if p := v.GetCurrencyPolicy(); p != nil {
		content.CurrencyPolicy = &catalog.CurrencyPolicy{
			Period: p.GetPeriod(), Window: p.GetWindow(), Grace: p.GetGrace(),
			Basis: nameOf[catalog.Basis](p.GetBasis()), FixedDate: p.GetFixedDate(),
		}
	}
	for _, u := range v.GetUnits() {
		if u == nil {
			u = &catalogv1.Unit{}
		}
		content.Units = append(content.Units, catalog.Unit{
			ID: u.GetId(), Title: u.GetTitle(), Kind: nameOf[catalog.UnitKind](u.GetKind()), Required: u.Required, Weight: u.Weight,
			Duration: u.GetDuration(), ContentURI: u.GetContentUri(), MoveOn: nameOf[catalog.MoveOn](u.GetMoveOn()), MasteryScore: u.MasteryScore,
		})
	}
	return content
}

func moduleContentProto(c catalog.ModuleContent) *catalogv1.ModuleVersion {
	v := &catalogv1.ModuleVersion{
		Topic: c.Topic, Title: c.Title, Summary: c.Summary, Level: c.Level,
		Roles: c.Roles, Objectives: c.Objectives, Prerequisites: c.Prerequisites, Duration: c.Duration,
	}
	for _, credit := range c.Credits {
		v.Credits = append(v.Credits, &catalogv1.Credit{ModuleIds: credit.ModuleIDs})
	}
	if p := c.CurrencyPolicy; p != nil {
		v.CurrencyPolicy = &catalogv1.CurrencyPolicy{
			Period: p.Period, Window: p.Window, Grace: p.Grace, FixedDate: p.FixedDate,
			Basis: valueOf[catalogv1.CurrencyPolicy_Basis](catalogv1.CurrencyPolicy_Basis_value, p.Basis),
		}
	}
	for _, u := range c.Units {
		unit := &catalogv1.Unit{
			Id: u.ID, Title: u.Title, Required: u.Required, Weight: u.Weight,
			Kind:     valueOf[catalogv1.Unit_Kind](catalogv1.Unit_Kind_value, u.Kind),
			Duration: u.Duration, ContentUri: u.ContentURI, MasteryScore: u.MasteryScore,
		}
		if u.MoveOn != "" {
			unit.MoveOn = valueOf[catalogv1.Unit_MoveOn](catalogv1.Unit_MoveOn_value, u.MoveOn).Enum()
		}
		v.Units = append(v.Units, unit)
	}
	return v
}

// pathContentOf reads what a client may set.
func pathContentOf(v *catalogv1.PathVersion) catalog.PathContent {
	content := catalog.PathContent{Title: v.GetTitle(), Summary: v.GetSummary(), Roles: v.GetRoles(), Backgrounds: v.GetBackgrounds()}
	for _, m := range v.GetMilestones() {
		milestone := catalog.Milestone{ID: m.GetId(), Title: m.GetTitle(), Summary: m.GetSummary()}
		for _, g := range m.GetGroups() {
			group := catalog.Group{ModuleIDs: g.GetModuleIds()}
			if g != nil && g.RequiredCount != nil {
				group.RequiredCount = new(int(g.GetRequiredCount()))
			}
			milestone.Groups = append(milestone.Groups, group)
		}
		content.Milestones = append(content.Milestones, milestone)
	}
	return content
}

func pathContentProto(c catalog.PathContent) *catalogv1.PathVersion {
	v := &catalogv1.PathVersion{Title: c.Title, Summary: c.Summary, Roles: c.Roles, Backgrounds: c.Backgrounds}
	for _, m := range c.Milestones {
		milestone := &catalogv1.Milestone{Id: m.ID, Title: m.Title, Summary: m.Summary}
		for _, g := range m.Groups {
			group := &catalogv1.ModuleGroup{ModuleIds: g.ModuleIDs}
			if g.RequiredCount != nil {
				group.RequiredCount = new(int32(*g.RequiredCount))
			}
			milestone.Groups = append(milestone.Groups, group)
		}
		v.Milestones = append(v.Milestones, milestone)
	}
	return v
}

// ModuleVersion returns a version as the message that holds it.
func ModuleVersion(version catalog.Version[catalog.ModuleContent]) *catalogv1.ModuleVersion {
	v := moduleContentProto(version.Content)
	v.Number = new(int32(version.Number))
	v.ContentHash = new(version.ContentHash)
	v.PublishTime = timestamppb.New(version.PublishTime)
	v.EffectiveTime = timestamppb.New(version.EffectiveTime)
	if version.ChangeClass != "" {
		v.ChangeClass = classProto(version.ChangeClass).Enum()
	}
	if version.Retake != "" {
		v.Retake = valueOf[catalogv1.ModuleVersion_Retake](catalogv1.ModuleVersion_Retake_value, version.Retake).Enum()
	}
	return v
}

// PathVersion returns a version as the message that holds it.
func PathVersion(version catalog.Version[catalog.PathContent]) *catalogv1.PathVersion {
	v := pathContentProto(version.Content)
	v.Number = new(int32(version.Number))
	v.ContentHash = new(version.ContentHash)
	v.PublishTime = timestamppb.New(version.PublishTime)
	v.MandateTime = timestamp(version.MandateTime)
	return v
}

func moduleProto(m catalog.Module) *catalogv1.Module {
	out := &catalogv1.Module{Id: m.ID, State: stateProto(m.State), LatestVersion: int32(m.Latest()), Etag: m.Etag()}
	if m.Version != nil {
		out.Version = ModuleVersion(*m.Version)
		out.Topic = m.Version.Content.Facets().Topic
	}
	if m.Draft != nil {
		out.Draft = moduleContentProto(*m.Draft)
		if m.Version == nil {
			out.Topic = m.Draft.Facets().Topic
		}
	}
	if stay, archived := m.Archive(); archived {
		out.ArchiveTime, out.SunsetTime = timestamp(stay.ArchiveTime), timestamp(stay.SunsetTime)
	}
	return out
}

func pathProto(p catalog.Path) *catalogv1.Path {
	out := &catalogv1.Path{Id: p.ID, State: stateProto(p.State), LatestVersion: int32(p.Latest()), Etag: p.Etag()}
	if p.Version != nil {
		out.Version = PathVersion(*p.Version)
	}
	if p.Draft != nil {
		out.Draft = pathContentProto(*p.Draft)
	}
	if stay, archived := p.Archive(); archived {
		out.ArchiveTime = timestamp(stay.ArchiveTime)
	}
	return out
}

func moduleRecordProto(r catalog.Record[catalog.ModuleContent]) *catalogv1.ModuleRecord {
	out := &catalogv1.ModuleRecord{Id: r.ID, State: stateProto(r.State), Revision: r.Revision}
	for _, v := range r.Versions {
		out.Versions = append(out.Versions, ModuleVersion(v))
	}
	for _, stay := range r.Archives {
		out.ArchivePeriods = append(out.ArchivePeriods, &catalogv1.ArchivePeriod{
			ArchiveTime: timestamp(stay.ArchiveTime), SunsetTime: timestamp(stay.SunsetTime), RestoreTime: timestamp(stay.RestoreTime),
		})
	}
	return out
}

func pathRecordProto(r catalog.Record[catalog.PathContent]) *catalogv1.PathRecord {
	out := &catalogv1.PathRecord{Id: r.ID, State: stateProto(r.State), Revision: r.Revision}
	for _, v := range r.Versions {
		out.Versions = append(out.Versions, PathVersion(v))
	}
	return out
}

func violationsProto(violations []errs.Violation) []*catalogv1.Violation {
	out := make([]*catalogv1.Violation, 0, len(violations))
	for _, v := range violations {
		out = append(out, &catalogv1.Violation{Field: v.Field, Description: v.Description, Reason: v.Reason})
	}
	return out
}

// moreProto is absent for none.
func moreProto(n int) *int32 {
	if n == 0 {
		return nil
	}
	return new(int32(n))
}

// timestamp is absent for the zero time.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// moduleImpactProto is absent for what was not counted.
func moduleImpactProto(i *catalog.ModuleImpact) *catalogv1.ModuleImpact {
	if i == nil {
		return nil
	}
	out := &catalogv1.ModuleImpact{
		LearnersCompleted: i.LearnersCompleted, LearnersInProgress: i.LearnersInProgress,
		LearnersToRetrain: i.LearnersToRetrain, LearnersLosingCredit: i.LearnersLosingCredit,
	}
	out.Paths = impactedPathProtos(i.Paths)
	return out
}

func impactedPathProtos(paths []catalog.ImpactedPath) []*catalogv1.ImpactedPath {
	out := make([]*catalogv1.ImpactedPath, 0, len(paths))
	for _, p := range paths {
		out = append(out, &catalogv1.ImpactedPath{
			PathId: p.ID, Title: p.Title, MilestoneIds: p.Milestones, Enrollments: p.Enrollments,
		})
	}
	return out
}

func pinnedProtos(pinned []catalog.PinnedEnrollments) []*catalogv1.PinnedEnrollments {
	out := make([]*catalogv1.PinnedEnrollments, 0, len(pinned))
	for _, e := range pinned {
		out = append(out, &catalogv1.PinnedEnrollments{PathVersion: int32(e.Version), Enrollments: e.Enrollments})
	}
	return out
}

// pathImpactProto is absent for what was not counted.
func pathImpactProto(i *catalog.PathImpact) *catalogv1.PathImpact {
	if i == nil {
		return nil
	}
	return &catalogv1.PathImpact{
		UpgradeOffers: i.UpgradeOffers, ChangedMilestoneIds: i.ChangedMilestones, AwardsHeld: i.AwardsHeld,
		Enrollments: pinnedProtos(i.Enrollments),
	}
}
