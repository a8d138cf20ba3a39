package gateway

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// samplePathProgress is a learner's progress on a path as large as real ones are.
func samplePathProgress() *progressv1.PathProgress {
	at := timestamppb.New(time.Date(2026, 11, 20, 8, 0, 0, 123_000_000, time.UTC))
	p := &progressv1.PathProgress{
		PathId: "clinical-ai-engineer", PathVersion: 3, State: progressv1.Enrollment_ACTIVE, Percent: proto.Int32(58),
		CompletedCount: 7, RequiredCount: 12, AsOfSequence: 41, Title: "Clinical AI engineer",
		Enrollment: &progressv1.Enrollment{
			Id: "0190a1b2-0000-7000-8000-000000000001", PathId: "clinical-ai-engineer", PathVersion: 3,
			State: progressv1.Enrollment_ACTIVE, EnrollTime: at, UpdateTime: at,
		},
		Next: []*progressv1.NextStep{{ModuleId: "fhir-resources", UnitId: "reading", Title: "Reading a resource", Reason: progressv1.NextStep_CONTINUE}},
	}
	for i := range 4 {
		m := &progressv1.MilestoneProgress{
			Id: fmt.Sprintf("milestone-%d", i), Title: "Working with data", Percent: proto.Int32(66), CompletedCount: 2,
			RequiredCount: 3,
		}
		for j := range 3 {
			m.Modules = append(m.Modules, &progressv1.ModuleProgress{
				ModuleId: fmt.Sprintf("module-%d-%d", i, j), Title: "Privacy & security — the basics", Version: 2,
				State: progressv1.ModuleProgress_COMPLETED, Percent: proto.Int32(100), CompleteTime: at,
				Currency: &progressv1.Currency{State: progressv1.Currency_CURRENT, ExpireTime: at, WindowOpenTime: at},
			})
		}
		p.Milestones = append(p.Milestones, m)
	}
	return p
}
