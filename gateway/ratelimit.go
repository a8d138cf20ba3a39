package gateway

import (
	"crypto/sha256"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// RateLimit limits the requests of one caller, and what an address sends without a valid token. Each
// gateway counts for itself, so a caller whose requests are spread over several gateways gets that many
// times the limit.
type RateLimit struct {
	// PerSecond is the sustained rate; 0 means no limit.
	PerSecond float64
	// Burst is how many requests may come at once after a pause.
	Burst int
}

// full is how many requests a full bucket holds.
func (l RateLimit) full() float64 { return float64(max(l.Burst, 1)) }

// The policies by which responses name the bucket that a request counted for.
const (
	policyCaller  = "caller"
	policyAddress = "address"
)

// announce sets the headers of draft-ietf-httpapi-ratelimit-headers: how many requests a full bucket holds
// and in how many seconds an empty one is full, how many are left and in how many seconds it is full again.
func (l RateLimit) announce(h http.Header, policy string, left float64) {
	left = min(max(left, 0), l.full())
	seconds := func(requests float64) string { return strconv.FormatFloat(math.Ceil(requests/l.PerSecond), 'f', 0, 64) }
	h.Set("Ratelimit-Policy", `"`+policy+`";q=`+strconv.FormatFloat(l.full(), 'f', 0, 64)+`;w=`+seconds(l.full()))
	h.Set("Ratelimit", `"`+policy+`";r=`+strconv.FormatFloat(math.Floor(left), 'f', 0, 64)+`;t=`+seconds(l.full()-left))
}

const (
	// limitedCallers is how many callers, addresses and tokens are remembered at least; twice that many at
	// most. A caller that is forgotten has a full bucket again.
	limitedCallers = 1 << 15
	// failureCost is how many requests a failed authentication counts for.
	failureCost = 10
)

// caller identifies a caller by a hash, so that no token is stored.
type caller [sha256.Size]byte

func callerOf(kind, text string) caller { return sha256.Sum256([]byte(kind + "\x00" + text)) }

// generations is a map that forgets: when now is full, before is dropped.
type generations[V any] struct {
	size        int
	now, before map[caller]V
}

func newGenerations[V any](size int) generations[V] {
	return generations[V]{size: size, now: map[caller]V{}}
}

func (g *generations[V]) get(key caller) (V, bool) {
	v, ok := g.now[key]
	if ok {
		return v, true
	}
	if v, ok = g.before[key]; ok {
		g.put(key, v)
	}
	return v, ok
}

func (g *generations[V]) put(key caller, v V) {
	if _, ok := g.now[key]; !ok && len(g.now) >= g.size {
		g.now, g.before = map[caller]V{}, g.now
	}
	g.now[key] = v
}

func (g *generations[V]) drop(key caller) {
	delete(g.now, key)
	delete(g.before, key)
}

// bucket holds the requests that may still be made: level at a time, and more since. It may owe some.
type bucket struct {
	level float64
	at    time.Time
}

// limiter has a bucket for each subject, which requests with a valid token count for, and one for each
// address, which pays for what has not shown one: a request takes one from it before its token is
// verified, gets it back if the token is valid, and pays failureCost if it is not. So an address that sends
// valid tokens alone, as a whole hospital does behind one, is not limited, and a flood of invalid ones is
// refused unverified.
//
// A token that was valid before is verified whatever its address has left: somebody who is signed in does
// not wait for others behind the same address.
type limiter struct {
	limit RateLimit

	mu        sync.Mutex
	subjects  generations[bucket]
	addresses generations[bucket]
	valid     generations[struct{}] // tokens
}

func newLimiter(limit RateLimit, size int) *limiter {
	return &limiter{
		limit: limit, subjects: newGenerations[bucket](size), addresses: newGenerations[bucket](size), valid: newGenerations[struct{}](size),
	}
}

func (l *limiter) on() bool { return l.limit.PerSecond > 0 }

// admit takes one request from the subject's bucket, or returns ResourceExhausted if it is empty, and sets
// the headers of the response that say what is left.
func (l *limiter) admit(h http.Header, subject caller, at time.Time) error {
	if !l.on() {
		return nil
	}
	left, wait := l.take(&l.subjects, subject, at)
	l.limit.announce(h, policyCaller, left)
	if wait > 0 {
		return limited(wait, "too many requests: at most %g a second, after a burst of %d", l.limit.PerSecond, max(l.limit.Burst, 1))
	}
	return nil
}

// enter takes one request from the address's bucket, or returns ResourceExhausted if it is empty.
func (l *limiter) enter(h http.Header, address caller, at time.Time) error {
	if !l.on() {
		return nil
	}
	left, wait := l.take(&l.addresses, address, at)
	l.limit.announce(h, policyAddress, left)
	if wait > 0 {
		return limited(wait, "too many requests without a valid token come from this address")
	}
	return nil
}

// limited is the error of an empty bucket.
func limited(wait time.Duration, format string, args ...any) error {
	e := errs.New(errs.ResourceExhausted, errs.ReasonRateLimited, format, args...)
	e.RetryAfter = wait
	return e
}

// accepted gives an address back what a request took that had a valid token or ticket, or was not judged.
func (l *limiter) accepted(address caller, at time.Time) {
	if l.on() {
		l.add(address, 1, at)
	}
}

// failed makes an address pay for a failed authentication. paid is what it has paid already.
func (l *limiter) failed(h http.Header, address caller, paid float64, at time.Time) {
	if l.on() {
		l.limit.announce(h, policyAddress, l.add(address, paid-failureCost, at))
	}
}

// wasValid reports whether a token was valid when it was seen last.
func (l *limiter) wasValid(token caller) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.valid.get(token)
	return ok
}

// judged records whether a token is valid.
func (l *limiter) judged(token caller, valid bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if valid {
		l.valid.put(token, struct{}{})
	} else {
		l.valid.drop(token)
	}
}

// take takes one request from a bucket, and returns how many are left and how long to wait if it is empty.
func (l *limiter) take(from *generations[bucket], key caller, at time.Time) (left float64, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.filled(from, key, at)
	if b.level < 1 {
		wait = max(time.Duration((1-b.level)/l.limit.PerSecond*float64(time.Second)), 1)
	} else {
		b.level--
	}
	from.put(key, b)
	return b.level, wait
}

// add adds requests to an address's bucket, or takes some if n is negative, and returns how many are left.
// An empty bucket owes as many as a full one holds, at most.
func (l *limiter) add(address caller, n float64, at time.Time) (left float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.filled(&l.addresses, address, at)
	b.level = min(max(b.level+n, -l.limit.full()), l.limit.full())
	l.addresses.put(address, b)
	return b.level
}

// filled returns a bucket with what has come into it since; a full one if it is new.
func (l *limiter) filled(from *generations[bucket], key caller, at time.Time) bucket {
	b, ok := from.get(key)
	if !ok {
		return bucket{l.limit.full(), at}
	}
	if passed := at.Sub(b.at).Seconds(); passed > 0 {
		b.level = min(b.level+passed*l.limit.PerSecond, l.limit.full())
		b.at = at
	}
	return b
}
