package rpc_test

import (
	"fmt"
	"testing"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
	"github.com/preceptor-dev/preceptor/internal/rpc"
)

// BenchmarkNormalizeBatch is what bringing requests into NFC adds to a batch of 500 events.
func BenchmarkNormalizeBatch(b *testing.B) {
	for name, reason := range map[string]string{"no reasons": "", "plain reasons": "Did the like elsewhere.", "composed reasons": "Hat das schon geübt."} {
		b.Run(name, func(b *testing.B) {
			req := &progressv1.BatchRecordEventsRequest{LearnerId: adaID}
			for i := range 500 {
				req.Events = append(req.Events, &progressv1.ProgressEvent{
					EventId: fmt.Sprintf("0193a1b2-7c3d-7e4f-8a5b-%012d", i), ModuleId: "hipaa-foundations", UnitId: "phi",
					Verb: progressv1.ProgressEvent_COMPLETED, DeviceId: "phone-1", TimeZone: "Europe/Berlin", Reason: reason,
				})
			}
			v := rpc.NewValidator()
			b.ReportAllocs()
			for b.Loop() {
				if rpc.Normalized(v, req) != req {
					b.Fatal("it was copied")
				}
			}
		})
	}
}
