package gateway_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/gateway"
	"github.com/preceptor-dev/preceptor/internal/bounds"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestRateLimitOverAJumpOfTheClock: who was refused waits as long as without the jump, and not until the clock
// is where it was; what comes in while it jumps ahead is a bucket at most.
func TestRateLimitOverAJumpOfTheClock(t *testing.T) {
	var ahead atomic.Int64
	begun := testenv.Now()
	h := open(t, func(c *gateway.Config) {
		c.Limiter = bounds.NewLimiter(bounds.RateLimit{PerSecond: 1, Burst: 2})
		c.Now = func() time.Time { return begun.Add(time.Duration(ahead.Load())) }
	})
	junk := 0
	for _, who := range []string{"a caller", "an address"} {
		ask := func() int {
			if who == "a caller" {
				return h.get(t, "/v1/topics").status
			}
			junk++
			return h.get(t, "/v1/topics", "Authorization", fmt.Sprint("Bearer junk-", junk)).status
		}
		for _, jump := range []time.Duration{-time.Hour, 24 * time.Hour, -30 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
			for range 3 {
				ask()
			}
			if got := ask(); got != 429 {
				t.Fatalf("%s, after a burst: %d", who, got)
			}
			ahead.Add(int64(jump))
			if got := ask(); (got == 429) != (jump < 0) {
				t.Errorf("%s, at once after a jump by %s: %d", who, jump, got)
			}
			ahead.Add(int64(4 * time.Second)) // a failure costs an address two buckets
			if got := ask(); got == 429 {
				t.Errorf("%s, four seconds after a jump by %s: %d", who, jump, got)
			}
		}
	}
}
