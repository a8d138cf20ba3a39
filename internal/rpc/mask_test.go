package rpc

import (
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	profilev1 "github.com/preceptor-dev/preceptor/gen/preceptor/profile/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

func TestMaskOf(t *testing.T) {
	t.Parallel()
	entity := &profilev1.Learner{Email: "a@b", WeeklyGoal: &profilev1.WeeklyGoal{}}
	for _, c := range []struct{ mask, want []string }{
		{nil, []string{"email", "weekly_goal"}},
		{[]string{"locale"}, []string{"locale"}},
		{[]string{"locale", "*"}, []string{"*", "locale"}},
		{[]string{"*"}, []string{
			"background", "create_time", "display_name", "email", "etag", "id", "locale", "subjects", "target_role",
			"time_zone", "update_time", "weekly_goal",
		}},
	} {
		got := slices.Sorted(slices.Values(MaskOf(&fieldmaskpb.FieldMask{Paths: c.mask}, entity).Paths))
		if !slices.Equal(got, c.want) {
			t.Errorf("mask %q: %q, want %q", c.mask, got, c.want)
		}
	}
	if got := MaskOf(nil, (*profilev1.Learner)(nil)).Paths; len(got) > 0 {
		t.Errorf("of nothing: %q", got)
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
		{&profilev1.Learner{Email: "new"}, nil, &profilev1.Learner{Id: "1", Email: "old", WeeklyGoal: &profilev1.WeeklyGoal{Units: 3}}},
		{nil, []string{"email", "weekly_goal"}, &profilev1.Learner{Id: "1"}},
		{
			&profilev1.Learner{WeeklyGoal: &profilev1.WeeklyGoal{Minutes: 9, Units: 9}},
			[]string{"weekly_goal.minutes"},
			&profilev1.Learner{Id: "1", Email: "old", WeeklyGoal: &profilev1.WeeklyGoal{Minutes: 9, Units: 3}},
		},
		{
			&profilev1.Learner{Id: "2", CreateTime: &timestamppb.Timestamp{Seconds: 1}, Subjects: []*profilev1.Subject{subject}},
			[]string{"id", "create_time", "create_time.seconds", "subjects"},
			&profilev1.Learner{Id: "1", Email: "old", WeeklyGoal: &profilev1.WeeklyGoal{Units: 3}, Subjects: []*profilev1.Subject{subject}},
		},
	} {
		to := &profilev1.Learner{Id: "1", Email: "old", WeeklyGoal: &profilev1.WeeklyGoal{Units: 3}}
		if err := (Mask{Paths: c.paths}).Merge(to, c.from, "NO"); err != nil || !proto.Equal(to, c.want) {
			t.Errorf("%q of %v: %v, %v, want %v", c.paths, c.from, to, err, c.want)
		}
	}
}

func TestMaskUnknown(t *testing.T) {
	t.Parallel()
	mask := Mask{Paths: []string{"email", "emial", "subjects.issuer", "weekly_goal.hours", "email.x", "weeklyGoal.units", "", "*"}}
	to := &profilev1.Learner{Email: "old"}
	err := mask.Merge(to, &profilev1.Learner{}, "NO")
	own, _ := errors.AsType[*errs.Error](err)
	var fields []string
	for _, v := range own.Violations {
		fields = append(fields, v.Field+" "+v.Reason)
	}
	want := []string{
		"updateMask.paths[1] NO", "updateMask.paths[2] NO", "updateMask.paths[3] NO", "updateMask.paths[4] NO",
		"updateMask.paths[5] NO", "updateMask.paths[6] NO", "updateMask.paths[7] NO",
	}
	if !slices.Equal(fields, want) || to.GetEmail() != "old" {
		t.Errorf("violations %q, want %q; merged %v", fields, want, to)
	}
	mask.JSONNames = true
	if got := mask.Unknown(to); !slices.Equal(got, []int{1, 2, 3, 4, 6, 7}) {
		t.Errorf("with the names of JSON unknown: %v", got)
	}
	if !mask.Names(to, "weekly_goal") || !mask.Names(to, "email") || mask.Names(to, "locale") {
		t.Errorf("%q names other fields", mask.Paths)
	}
}
