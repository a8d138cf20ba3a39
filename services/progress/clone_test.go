package progress_test

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/preceptor-dev/preceptor/services/progress"
)

// Folding on a copy leaves the facts as they were, whatever they are and whatever comes.
func TestCloneIsFoldedOnAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		second := courseOf(yearly(progress.BasisCompletion)).Versions[0]
		second.Number, second.Material, second.EffectiveTime = 2, true, time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
		m := new(courseOf(yearly(progress.BasisCompletion)))
		m.Versions = append(m.Versions, second)
		var log []progress.Record
		at := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
		draw := func() progress.Record {
			at = at.Add(time.Duration(rapid.IntRange(-48, 96*10).Draw(rt, "hours")) * time.Hour)
			return progress.Record{
				LearnerID: "l", ActorID: "l", Sequence: int64(len(log) + 1), Type: progress.RecordEvent, ReceivedAt: at, EffectiveAt: at,
				Event: progress.Event{
					ID: rapid.StringMatching(`[a-f0-9]{8}`).Draw(rt, "id"), ModuleID: m.ID, ModuleVersion: rapid.IntRange(1, 2).Draw(rt, "version"),
					UnitID: rapid.SampledFrom([]string{m.Versions[0].Units[0].ID, "gone", ""}).Draw(rt, "unit"), OccurredAt: at,
					Verb: rapid.SampledFrom([]progress.Verb{progress.Completed, progress.Passed, progress.Failed, progress.Progressed, progress.Waived}).Draw(rt, "verb"),
				},
			}
		}
		f := progress.NewFacts(m)
		for range rapid.IntRange(0, 12).Draw(rt, "events") {
			r := draw()
			log = append(log, r)
			if !f.Add(m, &r) {
				f = progress.FoldLog(m, log)
			}
		}
		was := deepCopy(reflect.ValueOf(f)).Interface()
		c := f.Clone()
		if !reflect.DeepEqual(c, f) {
			rt.Fatalf("the copy is %+v\nof %+v", c, f)
		}
		for range 3 {
			r := draw()
			c.Add(m, &r)
			c = c.AsOf(m, at).Clone()
		}
		if !reflect.DeepEqual(f, was) {
			rt.Fatalf("folding on the copy made of\n%+v\n%+v", was, f)
		}
	})
}

// deepCopy copies all that a value leads to.
func deepCopy(v reflect.Value) reflect.Value {
	switch v.Kind() { //nolint:exhaustive // the others hold nothing
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(deepCopy(v.Elem()))
		return out
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(deepCopy(v.Index(i)))
		}
		return out
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			out.Field(i).Set(deepCopy(v.Field(i)))
		}
		return out
	}
	return v
}
