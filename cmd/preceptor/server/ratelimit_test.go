package server

import (
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	catalogv1 "github.com/preceptor-dev/preceptor/gen/preceptor/catalog/v1"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestRESTAndGRPCShareTheRateLimit counts the failures of an address by either API.
func TestRESTAndGRPCShareTheRateLimit(t *testing.T) {
	t.Parallel()
	p := openAllWith(t, testenv.Now, func(p *process) { p.cfg.RateLimit, p.cfg.RateBurst = 0.001, 30 })
	b := p.both(t)
	byGRPC := func() error {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer junk")
		_, err := catalogv1.NewCatalogServiceClient(b.conn).ListTopics(ctx, &catalogv1.ListTopicsRequest{})
		return err
	}
	byREST := func() (status int, body string) {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/v1/topics", nil)
		r.RemoteAddr = "127.0.0.1:4711"
		r.Header.Set("Authorization", "Bearer junk")
		b.rest.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if code, body := byREST(); code != 401 {
		t.Errorf("%d %s", code, body)
	}
	if err := byGRPC(); status.Code(err) != codes.Unauthenticated {
		t.Error(err)
	}
	if code, body := byREST(); code != 401 {
		t.Errorf("%d %s", code, body)
	}
	if err := byGRPC(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the fourth, of which each counts for ten of thirty: %v", err)
	}
	if code, body := byREST(); code != 429 || !strings.Contains(body, errs.ReasonRateLimited) {
		t.Errorf("%d %s", code, body)
	}
}
