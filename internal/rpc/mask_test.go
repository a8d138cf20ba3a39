package rpc

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// names returns the paths of a mask as proto spells them, sorted.
func (m Mask) names() []string {
	var all []string
	for _, path := range m {
		var parts []string
		for _, field := range path.fields {
			parts = append(parts, string(field.Name()))
		}
		if path.key != "" {
			parts = append(parts, path.key)
		}
		all = append(all, strings.Join(parts, "."))
	}
	slices.Sort(all)
	return all
}

func TestReadMask(t *testing.T) {
	t.Parallel()
	entity := &profilev1.Learner{Id: "1", Email: "a@b", Etag: "e", WeeklyGoal: &profilev1.WeeklyGoal{}}
	for _, c := range []struct{ mask, want []string }{
		{nil, []string{"email", "weekly_goal"}},
		{[]string{"locale"}, []string{"locale"}},
		{[]string{"attributes.employeeId", "attributes.ward_2"}, []string{"attributes.employeeId", "attributes.ward_2"}},
		{[]string{"attributes"}, []string{"attributes"}},
		{[]string{"displayName", "time_zone", "weeklyGoal.minutes", "weekly_goal.units"}, []string{"display_name", "time_zone", "weekly_goal.minutes", "weekly_goal.units"}},
		{[]string{"*"}, []string{"attributes", "background", "display_name", "email", "locale", "subjects", "target_role", "time_zone", "weekly_goal"}},
	} {
		got, err := ReadMask(&fieldmaskpb.FieldMask{Paths: c.mask}, entity)
		if err != nil || !slices.Equal(got.names(), c.want) {
			t.Errorf("mask %q: %q, %v, want %q", c.mask, got.names(), err, c.want)
		}
	}
	if got, err := ReadMask(nil, (*profilev1.Learner)(nil)); err != nil || len(got) > 0 {
		t.Errorf("of nothing: %q, %v", got.names(), err)
	}
}

func TestReadMaskNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := ReadMask(&fieldmaskpb.FieldMask{Paths: []string{
		"email", "emial", "subjects.issuer", "weekly_goal.hours", "email.x", "", "*", "create_time", "etag", "weekly_goal.", "displayName", "display_name",
		"attributes.a.b", "attributes.", "attributes.x", "attributes.x",
	}}, &profilev1.Learner{})
	own, _ := errors.AsType[*errs.Error](err)
	if own == nil || own.Kind != errs.Invalid {
		t.Fatal(err)
	}
	var got []string
	for _, v := range own.Violations {
		got = append(got, v.Field+" "+v.Reason+" "+v.Description)
	}
	want := []string{
		`updateMask UNKNOWN_FIELD "emial" is not a field; did you mean email?`,
		`updateMask UNKNOWN_FIELD "subjects.issuer" is not a field; there are none here`,
		`updateMask UNKNOWN_FIELD "weekly_goal.hours" is not a field; there are minutes, units`,
		`updateMask UNKNOWN_FIELD "email.x" is not a field; there are none here`,
		`updateMask UNKNOWN_FIELD "" is not a field; there are attributes, background, displayName, email, locale, subjects, targetRole, timeZone, weeklyGoal`,
		`updateMask UNKNOWN_FIELD "*" is not a field; there are attributes, background, displayName, email, locale, subjects, targetRole, timeZone, weeklyGoal`,
		`updateMask NOT_SETTABLE "create_time" cannot be changed`,
		`updateMask NOT_SETTABLE "etag" cannot be changed`,
		`updateMask UNKNOWN_FIELD "weekly_goal." is not a field; there are minutes, units`,
		`updateMask DUPLICATE_FIELD "display_name" is named twice`,
		`updateMask UNKNOWN_FIELD "attributes.a.b" is not a field; there are none here`,
		`updateMask UNKNOWN_FIELD "attributes." is not a field; there are none here`,
		`updateMask DUPLICATE_FIELD "attributes.x" is named twice`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMaskMergesEntriesOfMaps(t *testing.T) {
	t.Parallel()
	shared := map[string]string{"department": "radiology", "ward": "3"}
	to := &profilev1.Learner{Attributes: shared}
	mask, err := ReadMask(&fieldmaskpb.FieldMask{Paths: []string{"attributes.department", "attributes.ward", "attributes.none"}}, to)
	if err != nil {
		t.Fatal(err)
	}
	mask.Merge(to, &profilev1.Learner{Attributes: map[string]string{"department": "oncology", "location": "Basel"}})
	if got := to.GetAttributes(); len(got) != 1 || got["department"] != "oncology" || shared["ward"] != "3" {
		t.Errorf("merged %v; what was shared is %v", got, shared)
	}
	mask.Merge(to, (*profilev1.Learner)(nil))
	if got := to.GetAttributes(); len(got) != 0 {
		t.Errorf("cleared %v", got)
	}
}

func TestMaskMerge(t *testing.T) {
	t.Parallel()
	subject := &profilev1.Subject{Subject: "ana"}
	for _, c := range []struct {
		from  *profilev1.Learner
		paths []string
		want  *profilev1.Learner
	}{
		{&profilev1.Learner{Email: "new"}, []string{"email"}, &profilev1.Learner{Id: "1", Email: "new", WeeklyGoal: &profilev1.WeeklyGoal{Units: 3}}},
		{&profilev1.Learner{}, nil, &profilev1.Learner{Id: "1", Email: "old", WeeklyGoal: &profilev1.WeeklyGoal{Units: 3}}},
		{nil, []string{"email", "weekly_goal"}, &profilev1.Learner{Id: "1"}},
		{
			&profilev1.Learner{WeeklyGoal: &profilev1.WeeklyGoal{Minutes: 9, Units: 9}},
			[]string{"weeklyGoal.minutes"},
			&profilev1.Learner{Id: "1", Email: "old", WeeklyGoal: &profilev1.WeeklyGoal{Minutes: 9, Units: 3}},
		},
		{
			&profilev1.Learner{Id: "2", Etag: "x", CreateTime: &timestamppb.Timestamp{Seconds: 1}, Subjects: []*profilev1.Subject{subject}},
			nil,
			&profilev1.Learner{Id: "1", Email: "old", WeeklyGoal: &profilev1.WeeklyGoal{Units: 3}, Subjects: []*profilev1.Subject{subject}},
		},
	} {
		to := &profilev1.Learner{Id: "1", Email: "old", WeeklyGoal: &profilev1.WeeklyGoal{Units: 3}}
		mask, err := ReadMask(&fieldmaskpb.FieldMask{Paths: c.paths}, c.from)
		if mask.Merge(to, c.from); err != nil || !proto.Equal(to, c.want) {
			t.Errorf("%q of %v: %v, %v, want %v", c.paths, c.from, to, err, c.want)
		}
		if got := mask.Names("weekly_goal"); got != slices.ContainsFunc(mask.names(), func(n string) bool { return strings.HasPrefix(n, "weekly_goal") }) {
			t.Errorf("%q names weekly_goal: %t", c.paths, got)
		}
	}
}
