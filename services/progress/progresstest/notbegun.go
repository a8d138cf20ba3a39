package progresstest

import (
	"context"
	"errors"
	"testing"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// surveyNotBegun: who is on one of the paths, and has done nothing of the module nor all of a group.
func surveyNotBegun(t *testing.T, s Store) {
	done := factsOf("k", 25, progress.CycleFacts{CompleteAt: 25, CompleteVersion: 1})
	open := factsOf("k", 25, progress.CycleFacts{Versions: []int{1}})
	type learner struct {
		path    string
		version int
		state   progress.EnrollmentState
		facts   map[string]*progress.Facts
	}
	ids := map[string]string{}
	for name, l := range map[string]learner{
		"idle":       {"p", 1, progress.EnrollmentActive, nil},
		"paused":     {"p", 2, progress.EnrollmentPaused, nil},
		"withdrawn":  {"p", 1, progress.EnrollmentWithdrawn, nil},
		"version 3":  {"p", 3, progress.EnrollmentActive, nil},
		"elsewhere":  {"q", 1, progress.EnrollmentActive, nil},
		"begun":      {"p", 1, progress.EnrollmentActive, map[string]*progress.Facts{"m": open}},
		"done":       {"p", 1, progress.EnrollmentActive, map[string]*progress.Facts{"m": done}},
		"uncounted":  {"p", 1, progress.EnrollmentActive, map[string]*progress.Facts{"m": {Key: "k", LastAt: 15}}},
		"half":       {"p", 1, progress.EnrollmentActive, map[string]*progress.Facts{"x": done, "y": open}},
		"equivalent": {"p", 1, progress.EnrollmentActive, map[string]*progress.Facts{"x": done, "y": done}},
	} {
		id := newID()
		ids[name] = id
		must(t, commit(t.Context(), s, []string{id}, func(ctx context.Context, tx progress.Tx) error {
			facts := map[progress.FactsKey]*progress.Facts{}
			for module, f := range l.facts {
				facts[progress.FactsKey{LearnerID: id, ModuleID: module}] = f
			}
			e := progress.Enrollment{ID: newID(), LearnerID: id, PathID: l.path, PathVersion: l.version, State: l.state, EnrollTime: at, UpdateTime: at}
			return errors.Join(tx.PutFacts(ctx, facts), tx.PutEnrollments(ctx, []progress.Enrollment{e}))
		}))
	}
	on := []progress.PinnedEnrollments{{PathID: "p", PathVersion: 1}, {PathID: "p", PathVersion: 2}}
	groups := [][]string{{"x", "y"}, {"z"}}
	for _, c := range []struct {
		q    progress.NotBegun
		want int64
	}{
		{progress.NotBegun{ModuleID: "m", On: on}, 5},
		{progress.NotBegun{ModuleID: "m", On: on, Groups: groups}, 4},
		{progress.NotBegun{ModuleID: "m", On: on, Groups: [][]string{{"x"}}}, 3},
		{progress.NotBegun{ModuleID: "m", On: on[:1]}, 4},
		{progress.NotBegun{ModuleID: "m"}, 0},
		{progress.NotBegun{ModuleID: "m", On: on, Groups: groups, LearnerID: ids["begun"]}, 1},
		{progress.NotBegun{ModuleID: "m", On: on, Groups: groups, LearnerID: ids["equivalent"]}, 0},
		{progress.NotBegun{ModuleID: "m", On: on, LearnerID: ids["withdrawn"]}, 0},
	} {
		must(t, s.Survey(t.Context(), func(ctx context.Context, v progress.Survey) error {
			got, err := v.NotBegun(ctx, c.q)
			if got != c.want {
				t.Errorf("%+v: %d learners, want %d", c.q, got, c.want)
			}
			return err
		}))
	}
}
