package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// ask makes n requests of a subject at a time, and returns how many were admitted.
func ask(t *testing.T, l *limiter, n int, at time.Time, subject string) (admitted int) {
	t.Helper()
	for range n {
		err := l.admit(http.Header{}, callerOf("subject", subject), at)
		if err == nil {
			admitted++
		} else if e, ok := errors.AsType[*errs.Error](err); !ok || e.Reason != errs.ReasonRateLimited || e.RetryAfter <= 0 || e.RetryAfter > time.Second {
			t.Fatal(err)
		}
	}
	return admitted
}

func TestRateLimit(t *testing.T) {
	l := newLimiter(RateLimit{PerSecond: 2, Burst: 5}, 100)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if n := ask(t, l, 20, now, "ada"); n != 5 {
		t.Errorf("a burst of %d", n)
	}
	if n := ask(t, l, 20, now.Add(3*time.Second/2), "ada"); n != 3 {
		t.Errorf("%d after a second and a half", n)
	}
	if n := ask(t, l, 20, now.Add(time.Second), "ada"); n != 0 {
		t.Errorf("%d after the clock was set back", n)
	}
	if n := ask(t, l, 20, now, "grace"); n != 5 {
		t.Errorf("another caller gets %d", n)
	}
	if n := ask(t, newLimiter(RateLimit{}, 100), 1000, now, "ada"); n != 1000 {
		t.Errorf("without a limit %d", n)
	}
}

// An address pays for what is not valid alone, and for a failure ten times as much as for another request.
func TestAddressesPayForFailures(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	here, h := callerOf("address", "192.0.2.7"), http.Header{}
	l := newLimiter(RateLimit{PerSecond: 5, Burst: 30}, 100)
	for i := range 1000 {
		if err := l.enter(h, here, now); err != nil {
			t.Fatalf("valid request %d: %v", i, err)
		}
		l.accepted(here, now)
	}
	fail := func(at time.Time) (judged int) {
		for range 300 {
			if l.enter(h, here, at) == nil {
				judged++
				l.failed(h, here, 1, at)
			}
		}
		return judged
	}
	if n := fail(now); n != 3 {
		t.Errorf("%d failures are judged, want 3", n)
	}
	if n := fail(now.Add(10 * time.Second)); n != 3 {
		t.Errorf("%d failures are judged after ten seconds, want 3", n)
	}
	if n := fail(now.Add(12 * time.Second)); n != 1 {
		t.Errorf("%d failures are judged two seconds later, want 1", n)
	}
	for range 50 {
		l.failed(h, here, 0, now.Add(12*time.Second)) // of requests that came at once
	}
	if n := fail(now.Add(19 * time.Second)); n != 1 {
		t.Errorf("%d failures are judged when what an empty bucket owes is paid, want 1", n)
	}
	if err := l.enter(h, callerOf("address", "192.0.2.8"), now); err != nil {
		t.Errorf("another address: %v", err)
	}
}

func TestRateLimitForgets(t *testing.T) {
	l := newLimiter(RateLimit{PerSecond: 1, Burst: 1}, 10)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for nr := range 1000 {
		key := callerOf("any", fmt.Sprint(nr))
		_ = l.admit(http.Header{}, key, now)
		_ = l.enter(http.Header{}, key, now)
		l.judged(key, true)
		for name, n := range map[string]int{
			"subjects": len(l.subjects.now) + len(l.subjects.before), "addresses": len(l.addresses.now) + len(l.addresses.before),
			"tokens": len(l.valid.now) + len(l.valid.before),
		} {
			if n > 20 {
				t.Fatalf("%d %s", n, name)
			}
		}
		if !l.wasValid(key) {
			t.Fatal("a token is forgotten at once")
		}
	}
	last := callerOf("any", "999")
	l.judged(last, false)
	if l.wasValid(last) {
		t.Error("a token that is not valid any more is remembered")
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
			_ = l.admit(h, caller{}, now)
		}
		if test.later > 0 {
			h = http.Header{}
			_ = l.admit(h, caller{}, now.Add(test.later))
		}
		if policy, rest := h.Get("Ratelimit-Policy"), h.Get("Ratelimit"); policy != test.policy || rest != test.rest {
			t.Errorf("%+v after %d: %s, %s; want %s, %s", test.limit, test.requests, policy, rest, test.policy, test.rest)
		}
	}
}

func TestAddresses(t *testing.T) {
	var trusted proxies
	for _, text := range []string{"10.0.0.0/8", "192.0.2.1", "fd00::/8"} {
		network, err := ParseProxy(text)
		if err != nil {
			t.Fatal(err)
		}
		trusted = append(trusted, network)
	}
	for _, test := range []struct {
		peer, want string
		forwarded  []string
	}{
		{"203.0.113.5:4711", "203.0.113.5", nil},
		{"203.0.113.5:4711", "203.0.113.5", []string{"198.51.100.1"}}, // no proxy of ours
		{"10.1.2.3:1", "10.1.2.3", nil},
		{"10.1.2.3:1", "198.51.100.1", []string{"198.51.100.1"}},
		{"10.1.2.3:1", "198.51.100.1", []string{"192.0.2.99, 198.51.100.1"}}, // the first is made up
		{"10.1.2.3:1", "198.51.100.1", []string{"192.0.2.99", "198.51.100.1"}},
		{"10.1.2.3:1", "198.51.100.1", []string{"192.0.2.99, 198.51.100.1, 192.0.2.1, 10.9.9.9"}},
		{"10.1.2.3:1", "198.51.100.1", []string{"198.51.100.1:5000"}},
		{"10.1.2.3:1", "10.4.5.6", []string{"10.4.5.6"}}, // ours all the way
		{"10.1.2.3:1", "192.0.2.1", []string{"unknown, 192.0.2.1"}},
		{"10.1.2.3:1", "10.1.2.3", []string{"198.51.100.1, nonsense"}},
		{"[::ffff:10.1.2.3]:1", "198.51.100.1", []string{"::ffff:198.51.100.1"}},
		{"[fd00::1]:1", "2001:db8:1:2::/64", []string{"2001:db8:1:2:3:4:5:6"}},
		{"[fd00::1]:1", "2001:db8:1:2::/64", []string{"[2001:db8:1:2::9]:443"}},
		{"[2001:db8:1:2:3::1]:1", "2001:db8:1:2::/64", nil},
		{"[fe80::1%eth0]:1", "fe80::/64", nil},
		{"pipe", "pipe", []string{"198.51.100.1"}},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = test.peer
		for _, value := range test.forwarded {
			r.Header.Add("X-Forwarded-For", value)
		}
		if got := trusted.addressOf(r); got != test.want {
			t.Errorf("%s for %q: %s, want %s", test.peer, test.forwarded, got, test.want)
		}
	}
	for _, text := range []string{"", "10.0.0.0/33", "example.org", "10.0.0.1:80", "fe80::1%eth0", "::ffff:10.0.0.0/104"} {
		if network, err := ParseProxy(text); err == nil {
			t.Errorf("%q is the network %s", text, network)
		}
	}
}
