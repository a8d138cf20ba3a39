package gateway_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/preceptor-dev/preceptor/gateway"
)

// TestStoppingIsNoError: what a rollout refuses is counted with what had no response, and what else is 503
// as an error.
func TestStoppingIsNoError(t *testing.T) {
	counted := make(chan string, 10)
	h := open(t, func(c *gateway.Config) {
		c.Observe = func(route, _ string, status int, _ time.Duration) { counted <- fmt.Sprint(route, " ", status) }
	})
	for reason, want := range map[string]string{"SHUTTING_DOWN": "/v1/modules/{module_id} 0", "DATABASE_UNREACHABLE": "/v1/modules/{module_id} 503"} {
		h.fails(getModule, fault(codes.Unavailable, reason, "try again"))
		h.get(t, "/v1/modules/a").wantProblem(t, 503, reason)
		if got := <-counted; got != want {
			t.Errorf("%s: counted as %s, want %s", reason, got, want)
		}
	}
}
