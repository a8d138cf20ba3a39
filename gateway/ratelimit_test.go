package gateway

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// tokenOf is a token as one looks from outside; nr makes it differ from others of the subject's.
func tokenOf(subject string, nr int) string {
	claims := fmt.Sprintf(`{"iss":"https://issuer","sub":%q,"jti":"%d"}`, subject, nr)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".signature"
}

func request(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v1/modules", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// ask makes n requests at a time, and returns how many were admitted.
func ask(l *limiter, n int, at time.Time, token string, genuine bool) (admitted int) {
	for range n {
		r := request(token)
		x := &exchange{}
		x.accepted.Store(genuine)
		r = r.WithContext(withExchange(r.Context(), x))
		served, err := l.admit(http.Header{}, r, at)
		if err == nil {
			admitted++
			served()
		} else if e, ok := err.(*errs.Error); !ok || e.Reason != errs.ReasonRateLimited || e.RetryAfter <= 0 || e.RetryAfter > time.Second { //nolint:errorlint // as it came
			panic(err)
		}
	}
	return admitted
}

func TestRateLimit(t *testing.T) {
	l := newLimiter(RateLimit{PerSecond: 2, Burst: 5}, 100)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if n := ask(l, 20, now, tokenOf("ada", 1), false); n != 5 {
		t.Errorf("a burst of %d", n)
	}
	if n := ask(l, 20, now.Add(3*time.Second/2), tokenOf("ada", 1), false); n != 3 {
		t.Errorf("%d after a second and a half", n)
	}
	if n := ask(l, 20, now, tokenOf("grace", 1), false); n != 5 {
		t.Errorf("another caller gets %d", n)
	}
	if n := ask(l, 20, now, "", false) + ask(l, 20, now, "", false); n != 5 {
		t.Errorf("callers without a token get %d", n)
	}
	if n := ask(newLimiter(RateLimit{}, 100), 1000, now, "", false); n != 1000 {
		t.Errorf("without a limit %d", n)
	}
}

// A subject's tokens share a bucket once services have accepted them, and a forged one never does.
func TestRateLimitKnowsSubjects(t *testing.T) {
	l := newLimiter(RateLimit{PerSecond: 1, Burst: 10}, 100)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for nr := range 3 {
		ask(l, 1, now, tokenOf("ada", nr), true) // each has its first from a bucket of its own
	}
	for nr := 3; nr < 50; nr++ {
		ask(l, 10, now, tokenOf("ada", nr), false) // forged
	}
	sum := 0
	for nr := range 3 {
		sum += ask(l, 10, now, tokenOf("ada", nr), true)
	}
	if sum != 10 {
		t.Errorf("three tokens of one subject get %d together", sum)
	}
	if n := ask(l, 10, now, "opaque", true); n != 10 {
		t.Errorf("a token without claims gets %d", n)
	}
}

func TestRateLimitForgets(t *testing.T) {
	l := newLimiter(RateLimit{PerSecond: 1, Burst: 1}, 10)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for nr := range 1000 {
		ask(l, 1, now, tokenOf("ada", nr), nr%2 == 0)
		if len(l.now) > 10 || len(l.before) > 10 {
			t.Fatalf("%d and %d buckets", len(l.now), len(l.before))
		}
	}
}

// TestRateLimitIsAnnounced holds the headers to what a caller may still do.
func TestRateLimitIsAnnounced(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		limit    RateLimit
		requests int
		later    time.Duration
		policy   string
		rest     string
	}{
		{RateLimit{PerSecond: 2, Burst: 5}, 1, 0, `"caller";q=5;w=3`, `"caller";r=4;t=1`},
		{RateLimit{PerSecond: 2, Burst: 5}, 5, 0, `"caller";q=5;w=3`, `"caller";r=0;t=3`},
		{RateLimit{PerSecond: 2, Burst: 5}, 6, 0, `"caller";q=5;w=3`, `"caller";r=0;t=3`}, // refused
		{RateLimit{PerSecond: 2, Burst: 5}, 5, time.Second, `"caller";q=5;w=3`, `"caller";r=1;t=2`},
		{RateLimit{PerSecond: 0.01, Burst: 0}, 1, 0, `"caller";q=1;w=100`, `"caller";r=0;t=100`},
		{RateLimit{PerSecond: 50, Burst: 1000}, 10, 0, `"caller";q=1000;w=20`, `"caller";r=990;t=1`},
		{RateLimit{}, 3, 0, "", ""},
	} {
		l, h := newLimiter(test.limit, 100), http.Header{}
		for range test.requests {
			h = http.Header{}
			_, _ = l.admit(h, request("x"), now)
		}
		if test.later > 0 {
			h = http.Header{}
			_, _ = l.admit(h, request("x"), now.Add(test.later))
		}
		if policy, rest := h.Get("Ratelimit-Policy"), h.Get("Ratelimit"); policy != test.policy || rest != test.rest {
			t.Errorf("%+v after %d: %s, %s; want %s, %s", test.limit, test.requests, policy, rest, test.policy, test.rest)
		}
	}
}
