package server

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	progressv1 "github.com/preceptor-dev/preceptor/gen/preceptor/progress/v1"
)

// TestLaterConn calls a service before it is open, and after.
func TestLaterConn(t *testing.T) {
	t.Parallel()
	p := openAll(t)
	later := &laterConn{from: Catalog, to: Progress}
	client := progressv1.NewProgressServiceClient(later)
	calls := func() (unary, stream codes.Code) {
		_, err := client.CountModuleImpact(t.Context(), &progressv1.CountModuleImpactRequest{})
		watch, failed := client.WatchProgress(t.Context(), &progressv1.WatchProgressRequest{})
		if failed == nil {
			_, failed = watch.Recv()
		}
		return status.Code(err), status.Code(failed)
	}
	if unary, stream := calls(); unary != codes.Unavailable || stream != codes.Unavailable {
		t.Errorf("before it is open: %s and %s", unary, stream)
	}
	later.open(p.find(Progress).server.InProcess(Catalog))
	// The catalog is let in, with a request that names no module; nobody may watch without a token.
	if unary, stream := calls(); unary != codes.InvalidArgument || stream != codes.Unauthenticated {
		t.Errorf("when it is open: %s and %s", unary, stream)
	}
}
