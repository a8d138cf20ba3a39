package gateway_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// TestLowerCaseTimesReachTheServices sends them by the generated handlers, and in a batch.
func TestLowerCaseTimesReachTheServices(t *testing.T) {
	h := open(t)
	if a := h.do(t, http.MethodPost, "/v1/modules/a:archive", `{"sunsetTime":"2026-12-01t08:00:00z"}`); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	archive, _ := h.last(t).req.(*catalogv1.ArchiveModuleRequest)
	if got := archive.GetSunsetTime().GetSeconds(); got != 1796112000 {
		t.Errorf("the sunset is %d", got)
	}
	body := `{"sentAt":"2026-12-01t08:00:00z","events":[{"eventId":"0190a1b2-0000-7000-8000-000000000001","occurredAt":"2026-12-01t08:00:00z"}]}`
	h.responds(progressv1.ProgressService_BatchRecordEvents_FullMethodName, &progressv1.BatchRecordEventsResponse{Results: []*progressv1.EventResult{{}}})
	if a := h.do(t, http.MethodPost, eventsPath, body); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	batch, _ := h.last(t).req.(*progressv1.BatchRecordEventsRequest)
	if batch.GetSentAt().GetSeconds() != 1796112000 || batch.GetEvents()[0].GetOccurredAt().GetSeconds() != 1796112000 {
		t.Errorf("%v", batch)
	}
}

// TestNoTimeIsAParameter holds that times are in bodies only. grpc-gateway reads those of a query or a path
// by itself, and in upper case alone: a route that gets one needs what gateway/wire does for bodies.
func TestNoTimeIsAParameter(t *testing.T) {
	parameter := regexp.MustCompile(`\{(\w+)\}`)
	for _, r := range restRoutes(t) {
		for _, m := range parameter.FindAllStringSubmatch(r.path, -1) {
			if fd := r.input.Fields().ByName(protoreflect.Name(m[1])); fd.Message() != nil {
				t.Errorf("%s has %s in its path", r.rpc, m[1])
			}
		}
		for i := range r.input.Fields().Len() {
			fd := r.input.Fields().Get(i)
			if r.body == "*" || r.body == string(fd.Name()) || fd.Message() == nil {
				continue
			}
			if name := string(fd.Message().FullName()); strings.HasPrefix(name, "google.protobuf.") && name != "google.protobuf.FieldMask" {
				t.Errorf("%s has a query parameter %s of type %s", r.rpc, fd.JSONName(), name)
			}
		}
	}
}
