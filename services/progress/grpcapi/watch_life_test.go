package grpcapi

import (
	"testing"

	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestWatchesEnd ends a stream that has lasted long enough, and not all of them at once.
func TestWatchesEnd(t *testing.T) {
	for range 100 {
		ctx, cancel := forWatchLife(t.Context())
		cancel()
		if left, ok := testenv.TimeLeft(ctx); !ok || left > 3*watchLife/2 || left < watchLife/2 {
			t.Fatalf("a stream lasts %s, %v", left, ok)
		}
	}
}
