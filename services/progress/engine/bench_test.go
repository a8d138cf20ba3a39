package engine_test

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/services/progress"
	"github.com/preceptor-dev/preceptor/services/progress/engine"
)

// benchRig is a catalog of 20 modules with 3 units each, on one path.
func benchRig(b *testing.B) *rig {
	b.Helper()
	var modules []progress.Module
	var ids []string
	for i := range 20 {
		id := fmt.Sprintf("module-%02d", i)
		ids = append(ids, id)
		modules = append(modules, module1(id, unit("a"), unit("b"), unit("c")))
	}
	r := newRig(b, modules, []progress.Path{path1("p", milestone("m1", all(ids[:10]...)), milestone("m2", kOf(5, ids[10:]...)))})
	r.Refresh()
	return r
}

// BenchmarkRecord is one event a call, durable, from many callers at a time.
func BenchmarkRecord(b *testing.B) {
	r := benchRig(b)
	var n atomic.Int64
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		learner := r.Learner()
		for pb.Next() {
			i := n.Add(1)
			r.Accept(
				learner,
				self(learner),
				event(fmt.Sprintf("module-%02d", i%20), "a", progress.Completed, day0.Add(time.Duration(i)*time.Millisecond)),
			)
		}
	})
}

// BenchmarkPathProgress reads the progress of a learner with 50 completed units.
func BenchmarkPathProgress(b *testing.B) {
	r := benchRig(b)
	learner := r.Learner()
	r.Enroll(learner, "p")
	for i := range 50 {
		r.Accept(
			learner,
			self(learner),
			event(fmt.Sprintf("module-%02d", i/3), string("abc"[i%3]), progress.Completed, day0.Add(time.Duration(i)*time.Minute)),
		)
	}
	for _, name := range []string{"cached", "computed"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				route := "path/p"
				if name == "computed" {
					route = fmt.Sprint("path/p/", i)
				}
				_, err := r.Service.Read(r.Ctx, learner, route, engine.AtLeast{}, func(w *progress.View) ([]byte, error) {
					p, err := w.Path("p")
					if err != nil {
						return nil, err
					}
					return json.Marshal(p)
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
