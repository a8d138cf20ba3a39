package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// TestExpiredTokens moves the one clock over the end of a token: REST takes it 30 seconds longer and no more,
// whether it was seen before or not.
func TestExpiredTokens(t *testing.T) {
	t.Parallel()
	var moved atomic.Int64
	start := testenv.Now()
	now := func() time.Time { return start.Add(time.Duration(moved.Load())) }
	p := openAllAt(t, now)
	rest, err := p.openGateway(t.Context(), p.inProcess(Gateway, p.table.Names()))
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Close()
	issuer, err := auth.OpenLocalIssuer(p.cfg.Data, now)
	if err != nil {
		t.Fatal(err)
	}
	mint := func(subject string) string {
		token, err := issuer.Mint(subject, nil, "", 2*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	seen, fresh := mint("seen"), []string{mint("one"), mint("two"), mint("three")}
	ask := func(token, path string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		rest.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	ends := issuerEnd(start)
	for i, step := range []struct {
		after time.Duration // of the token's end
		ok    bool
	}{{-time.Minute, true}, {29 * time.Second, true}, {31 * time.Second, false}} {
		moved.Store(int64(ends.Add(step.after).Sub(start)))
		for _, path := range []string{"/v1/learners/me", "/v1/modules", "/v1/learners/me/progress"} {
			for _, token := range []string{seen, fresh[i]} {
				status, body := ask(token, path)
				if (status == http.StatusOK) != step.ok || !step.ok && !strings.Contains(body, "TOKEN_EXPIRED") {
					t.Errorf("%s %s after the end: %d %s", path, step.after, status, body)
				}
			}
		}
		// A stream is over at the token's end, without any allowance.
		if step.after > 0 && step.ok {
			if status, body := ask(seen, "/v1/learners/me/progress:watch"); !strings.Contains(body, "TOKEN_EXPIRED") {
				t.Errorf("a watch %s after the end: %d %s", step.after, status, body)
			}
		}
	}
}

// issuerEnd is when a token of two minutes ends: tokens count in whole seconds.
func issuerEnd(start time.Time) time.Time { return start.Add(2 * time.Minute).Truncate(time.Second) }
