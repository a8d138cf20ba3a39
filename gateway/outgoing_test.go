package gateway_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestWritesSendWhatServicesRead: a batch of events goes on with the caller's token, the request's id and the headers
// that services take, and with nothing else of the request or the client.
func TestWritesSendWhatServicesRead(t *testing.T) {
	h := open(t)
	h.do(t, http.MethodPost, "/v1/learners/me/events:batch", `{"events":[]}`, "Authorization", "Bearer x", "X-Request-Id", "r-1",
		"Idempotency-Key", "k", "X-Forwarded-For", "192.0.2.1", "X-Anything", "else", "Grpc-Metadata-X-Request-Id", "r-2")
	md := h.last(t).md
	for key, want := range map[string]string{"authorization": "Bearer x", "x-request-id": "r-1", "idempotency-key": "k"} {
		if got := strings.Join(md.Get(key), ", "); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	sent := slices.DeleteFunc(slices.Sorted(maps.Keys(md)), func(key string) bool {
		return strings.HasPrefix(key, ":") || slices.Contains([]string{"content-type", "user-agent", "grpc-accept-encoding"}, key) // gRPC's own
	})
	if want := []string{"authorization", "idempotency-key", "x-request-id"}; !slices.Equal(sent, want) {
		t.Errorf("sent %v, want %v", sent, want)
	}
}
