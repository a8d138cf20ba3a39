package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/bounds"
)

// TestRateLimitIsAnnounced holds the headers to what a caller may still do.
func TestRateLimitIsAnnounced(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		limit    bounds.RateLimit
		requests int
		later    time.Duration
		policy   string
		rest     string
	}{
		{bounds.RateLimit{PerSecond: 2, Burst: 5}, 1, 0, `"caller";q=5;w=3`, `"caller";r=4;t=1`},
		{bounds.RateLimit{PerSecond: 2, Burst: 5}, 5, 0, `"caller";q=5;w=3`, `"caller";r=0;t=3`},
		{bounds.RateLimit{PerSecond: 2, Burst: 5}, 6, 0, `"caller";q=5;w=3`, `"caller";r=0;t=3`}, // refused
		{bounds.RateLimit{PerSecond: 2, Burst: 5}, 5, time.Second, `"caller";q=5;w=3`, `"caller";r=1;t=2`},
		{bounds.RateLimit{PerSecond: 0.01, Burst: 0}, 1, 0, `"caller";q=1;w=100`, `"caller";r=0;t=100`},
		{bounds.RateLimit{PerSecond: 50, Burst: 1000}, 10, 0, `"caller";q=1000;w=20`, `"caller";r=990;t=1`},
		{bounds.RateLimit{}, 3, 0, "", ""},
	} {
		l, h := bounds.NewLimiter(test.limit), http.Header{}
		request := func(at time.Time) {
			if left, _ := l.Admit("issuer", "ada", at); l.On() {
				announce(l.Limit(), h, policyCaller, left)
			}
		}
		for range test.requests {
			request(now)
		}
		if test.later > 0 {
			request(now.Add(test.later))
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
