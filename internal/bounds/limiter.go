package bounds

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// RateLimit limits the requests of one caller, and what an address sends without a valid token. Each
// process counts for itself, so a caller whose requests are spread over several gateways gets that many
// times the limit.
type RateLimit struct {
	// PerSecond is the sustained rate; 0 means no limit.
	PerSecond float64
	// Burst is how many requests may come at once after a pause.
	Burst int
}

// Full is how many requests a full bucket holds.
func (l RateLimit) Full() float64 { return float64(max(l.Burst, 1)) }

const (
	// limitedCallers is how many callers, addresses and tokens are remembered at least; twice that many at
	// most. A caller that is forgotten has a full bucket again.
	limitedCallers = 1 << 15
	// failureCost is how many requests a failed authentication counts for.
	failureCost = 10
)

// Caller identifies a caller by a hash, so that no token is stored.
type Caller [sha256.Size]byte

// CallerOf returns the caller of a kind whom a text names.
func CallerOf(kind, text string) Caller { return sha256.Sum256([]byte(kind + "\x00" + text)) }

// generations is a map that forgets: when now is full, before is dropped.
type generations[V any] struct {
	size        int
	now, before map[Caller]V
}

func newGenerations[V any](size int) generations[V] {
	return generations[V]{size: size, now: map[Caller]V{}}
}

func (g *generations[V]) get(key Caller) (V, bool) {
	v, ok := g.now[key]
	if ok {
		return v, true
	}
	if v, ok = g.before[key]; ok {
		g.put(key, v)
	}
	return v, ok
}

func (g *generations[V]) put(key Caller, v V) {
	if _, ok := g.now[key]; !ok && len(g.now) >= g.size {
		g.now, g.before = map[Caller]V{}, g.now
	}
	g.now[key] = v
}

func (g *generations[V]) drop(key Caller) {
	delete(g.now, key)
	delete(g.before, key)
}

// Limiter has a bucket for each subject, which requests with a valid token count for, and one for each
// address, which pays for what has not shown one: a request takes one from it before its token is
// verified, gets it back if the token is valid, and pays failureCost if it is not. So an address that sends
// valid tokens alone, as a whole hospital does behind one, is not limited, and a flood of invalid ones is
// refused unverified.
//
// A token that was valid before is verified whatever its address has left: somebody who is signed in does
// not wait for others behind the same address.
//
// REST and gRPC of one process share it. A nil one sets no limit. Safe for concurrent use.
type Limiter struct {
	limit RateLimit

	mu        sync.Mutex
	subjects  generations[bucket]
	addresses generations[bucket]
	valid     generations[struct{}] // tokens
}

// NewLimiter returns a limiter in which every bucket is full.
func NewLimiter(limit RateLimit) *Limiter { return newLimiter(limit, limitedCallers) }

func newLimiter(limit RateLimit, size int) *Limiter {
	return &Limiter{
		limit: limit, subjects: newGenerations[bucket](size), addresses: newGenerations[bucket](size), valid: newGenerations[struct{}](size),
	}
}

// On reports whether there is a limit.
func (l *Limiter) On() bool { return l != nil && l.limit.PerSecond > 0 }

// Limit returns the limit.
func (l *Limiter) Limit() RateLimit { return l.limit }

// Admit takes one request from the bucket of the subject of a valid token, and returns how many are left, or
// ResourceExhausted if it is empty.
func (l *Limiter) Admit(issuer, subject string, at time.Time) (left float64, err error) {
	if !l.On() {
		return 0, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	left, wait := l.take(&l.subjects, CallerOf("subject", issuer+"\x00"+subject), at)
	if wait > 0 {
		err = limited(wait, "too many requests: at most %g a second, after a burst of %d", l.limit.PerSecond, max(l.limit.Burst, 1))
	}
	return left, err
}

// Visit is a request on its way through a limiter, until it is known whose it is. The zero value is one that
// is not limited.
type Visit struct {
	of             *Limiter
	address, token Caller
	shown          bool // token is set
	// Paid is whether the address has paid for the request, Left what its bucket then had left.
	Paid bool
	Left float64
}

// Enter begins the visit of a request from a place (see Place) with a token, "" for none or for a ticket.
// Unless the token was valid before, it takes a request from the address's bucket, or returns
// ResourceExhausted if that is empty.
func (l *Limiter) Enter(place, token string, at time.Time) (Visit, error) {
	if !l.On() {
		return Visit{}, nil
	}
	v := Visit{of: l, address: CallerOf("address", place), shown: token != ""}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v.shown {
		v.token = CallerOf("token", token)
		if _, valid := l.valid.get(v.token); valid {
			return v, nil
		}
	}
	v.Paid = true
	var wait time.Duration
	if v.Left, wait = l.take(&l.addresses, v.address, at); wait > 0 {
		return v, limited(wait, "too many requests without a valid token come from this address")
	}
	return v, nil
}

// Limited reports whether the request counts at all.
func (v *Visit) Limited() bool { return v.of != nil }

// Passed gives the address back what it has paid: the token or ticket is valid, or it was not judged, since
// that cannot be done now. A token that is valid is remembered.
func (v *Visit) Passed(valid bool, at time.Time) {
	if v.of == nil {
		return
	}
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	if v.Paid {
		v.Left = v.of.add(v.address, 1, at)
	}
	if valid && v.shown {
		v.of.valid.put(v.token, struct{}{})
	}
}

// Failed makes the address pay for a failed authentication.
func (v *Visit) Failed(at time.Time) {
	if v.of == nil {
		return
	}
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	cost := float64(failureCost)
	if v.Paid {
		cost--
	}
	v.Left = v.of.add(v.address, -cost, at)
	if v.shown {
		v.of.valid.drop(v.token)
	}
}

// limited is the error of an empty bucket.
func limited(wait time.Duration, format string, args ...any) error {
	e := errs.New(errs.ResourceExhausted, errs.ReasonRateLimited, format, args...)
	e.RetryAfter = wait
	return e
}

// take takes one request from a bucket, and returns how many are left and how long to wait if it is empty.
func (l *Limiter) take(from *generations[bucket], key Caller, at time.Time) (left float64, wait time.Duration) {
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
func (l *Limiter) add(address Caller, n float64, at time.Time) (left float64) {
	b := l.filled(&l.addresses, address, at)
	b.level = min(max(b.level+n, -l.limit.Full()), l.limit.Full())
	l.addresses.put(address, b)
	return b.level
}

// filled returns a bucket with what has come into it since; a full one if it is new.
func (l *Limiter) filled(from *generations[bucket], key Caller, at time.Time) bucket {
	b, ok := from.get(key)
	if !ok {
		return bucket{l.limit.Full(), at}
	}
	b.fill(l.limit.PerSecond, l.limit.Full(), at)
	return b
}
