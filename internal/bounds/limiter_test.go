package bounds

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// ask makes n requests of a subject at a time, and returns how many were admitted.
func ask(t *testing.T, l *Limiter, n int, at time.Time, subject string) (admitted int) {
	t.Helper()
	for range n {
		_, err := l.Admit("issuer", subject, at)
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
	const here = "192.0.2.7"
	l := newLimiter(RateLimit{PerSecond: 5, Burst: 30}, 100)
	for i := range 1000 {
		v, err := l.Enter(here, fmt.Sprint("token ", i), now)
		if err != nil {
			t.Fatalf("valid request %d: %v", i, err)
		}
		v.Passed(i%2 == 0, now)
	}
	fail := func(at time.Time) (judged int) {
		for range 300 {
			if v, err := l.Enter(here, "junk", at); err == nil {
				judged++
				v.Failed(at)
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
	for i := range 500 { // tokens that were valid are judged whatever the address has left, and pay when they are not any more
		v, err := l.Enter(here, fmt.Sprint("token ", 998-2*(i%40)), now.Add(12*time.Second))
		if i < 40 && err != nil {
			t.Fatalf("a token that was valid before: %v", err)
		}
		if err == nil {
			v.Failed(now.Add(12 * time.Second))
		}
	}
	if n := fail(now.Add(19 * time.Second)); n != 1 {
		t.Errorf("%d failures are judged when what an empty bucket owes is paid, want 1", n)
	}
	if _, err := l.Enter("192.0.2.8", "", now); err != nil {
		t.Errorf("another address: %v", err)
	}
}

// TestRateLimitOutlivesTheClock fills buckets by a clock that was set back.
func TestRateLimitOutlivesTheClock(t *testing.T) {
	l := newLimiter(RateLimit{PerSecond: 2, Burst: 5}, 100)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	_ = ask(t, l, 20, now, "ada")
	if n := ask(t, l, 20, now.Add(-time.Hour), "ada"); n != 0 {
		t.Errorf("%d after the clock was set back", n)
	}
	if n := ask(t, l, 20, now.Add(-time.Hour+time.Second), "ada"); n != 2 {
		t.Errorf("%d in the second after that", n)
	}
}

func TestRateLimitForgets(t *testing.T) {
	l := newLimiter(RateLimit{PerSecond: 1, Burst: 1}, 10)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for nr := range 1000 {
		name := fmt.Sprint(nr)
		_, _ = l.Admit("issuer", name, now)
		v, _ := l.Enter(name, name, now)
		v.Passed(true, now)
		for name, n := range map[string]int{
			"subjects": len(l.subjects.now) + len(l.subjects.before), "addresses": len(l.addresses.now) + len(l.addresses.before),
			"tokens": len(l.valid.now) + len(l.valid.before),
		} {
			if n > 20 {
				t.Fatalf("%d %s", n, name)
			}
		}
		if v, _ = l.Enter("192.0.2.7", name, now); v.Paid {
			t.Fatal("a token is forgotten at once")
		}
	}
	v, _ := l.Enter("192.0.2.7", "999", now)
	v.Failed(now)
	if v, _ = l.Enter("192.0.2.8", "999", now); !v.Paid {
		t.Error("a token that is not valid any more is remembered")
	}
}

// TestPlaces counts an IPv6 address with its network.
func TestPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7:4711": "192.0.2.7", "[2001:db8:1:2:3:4:5:6]:4711": "2001:db8:1:2::/64", "[::ffff:192.0.2.7]:1": "192.0.2.7",
	} {
		addr, ok := ReadAddr(text)
		if got := Place(addr); !ok || got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
