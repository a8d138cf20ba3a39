package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// RateLimit limits the requests of one caller. Each gateway counts for itself, so a caller whose
// requests are spread over several gateways gets that many times the limit.
type RateLimit struct {
	// PerSecond is the sustained rate; 0 means no limit.
	PerSecond float64
	// Burst is how many requests may come at once after a pause.
	Burst int
}

// announce sets the headers of draft-ietf-httpapi-ratelimit-headers: how many requests a full bucket holds
// and in how many seconds an empty one is full, how many are left and in how many seconds it is full again.
func (l RateLimit) announce(h http.Header, left float64) {
	burst := float64(max(l.Burst, 1))
	left = min(max(left, 0), burst)
	seconds := func(requests float64) string { return strconv.FormatFloat(math.Ceil(requests/l.PerSecond), 'f', 0, 64) }
	h.Set("Ratelimit-Policy", `"caller";q=`+strconv.FormatFloat(burst, 'f', 0, 64)+`;w=`+seconds(burst))
	h.Set("Ratelimit", `"caller";r=`+strconv.FormatFloat(math.Floor(left), 'f', 0, 64)+`;t=`+seconds(burst-left))
}

// limitedCallers is how many callers are remembered at least; twice that many at most. A caller
// that is forgotten has a full bucket again.
const limitedCallers = 1 << 15

// caller identifies a caller by a hash, so that no token is stored.
type caller [sha256.Size]byte

func callerOf(kind, text string) caller { return sha256.Sum256([]byte(kind + "\x00" + text)) }

// bucket holds the requests that a caller may still make.
type bucket struct {
	*rate.Limiter

	// shared is whether it is the subject's bucket, used by a token that a service has accepted.
	shared bool
}

// limiter has a bucket for each caller.
//
// A caller is the subject of a token. The gateway does not verify tokens, and a forged one must not
// empty another's bucket: so a token has a bucket of its own until a call with it has succeeded.
// A ticket, which is used once, has a bucket of its own. Requests without either count for the address
// that they come from.
type limiter struct {
	limit RateLimit
	size  int

	mu sync.Mutex
	// now and before are two generations of buckets: when now is full, before is forgotten.
	now, before map[caller]bucket
}

func newLimiter(limit RateLimit, size int) *limiter {
	return &limiter{limit: limit, size: size, now: map[caller]bucket{}}
}

// admit takes one request from the caller's bucket, or returns ResourceExhausted if it is empty, and sets the
// headers of the response that say what is left. The returned function is to be called when the request is served.
func (l *limiter) admit(h http.Header, r *http.Request, at time.Time) (served func(), err error) {
	if l.limit.PerSecond <= 0 {
		return func() {}, nil
	}
	token, key := bearerOf(r)
	b := l.find(key)
	taken := b.ReserveN(at, 1)
	wait := taken.DelayFrom(at)
	if wait > 0 {
		taken.CancelAt(at)
	}
	l.limit.announce(h, b.TokensAt(at))
	if wait > 0 {
		e := errs.New(errs.ResourceExhausted, errs.ReasonRateLimited, "too many requests: at most %g a second, after a burst of %d",
			l.limit.PerSecond, max(l.limit.Burst, 1))
		e.RetryAfter = wait
		return nil, e
	}
	return func() {
		if token != "" && !b.shared && exchangeOf(r).accepted.Load() {
			l.share(key, token)
		}
	}, nil
}

func (l *limiter) find(key caller) bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bucket(key)
}

// bucket returns a caller's bucket, a full one if it is new.
func (l *limiter) bucket(key caller) bucket {
	b, ok := l.now[key]
	if ok {
		return b
	}
	if b, ok = l.before[key]; !ok {
		b.Limiter = rate.NewLimiter(rate.Limit(l.limit.PerSecond), max(l.limit.Burst, 1))
	}
	l.store(key, b)
	return b
}

func (l *limiter) store(key caller, b bucket) {
	if len(l.now) >= l.size {
		l.now, l.before = map[caller]bucket{}, l.now
	}
	l.now[key] = b
}

// share makes a genuine token use its subject's bucket from now on.
func (l *limiter) share(key caller, token string) {
	subject, ok := subjectOf(token)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(subject)
	b.shared = true
	l.store(key, b)
}

// bearerOf returns a request's token, or "", and the caller that the request counts for.
func bearerOf(r *http.Request) (token string, key caller) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && token != "" {
		return token, callerOf("token", token)
	}
	if ticket, ok := ticketOf(r); ok {
		return "", callerOf("ticket", ticket)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return "", callerOf("address", host)
}

// subjectOf returns a token's subject without verifying the token.
func subjectOf(token string) (caller, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return caller{}, false
	}
	var claims struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil || claims.Subject == "" {
		return caller{}, false
	}
	return callerOf("subject", claims.Issuer+"\x00"+claims.Subject), true
}

// accepting is a connection that records on the exchange that a call succeeded, which it does only
// with a genuine token.
type accepting struct{ grpc.ClientConnInterface }

// Invoke calls, and records success.
func (c accepting) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	err := c.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok && err == nil {
		x.accepted.Store(true)
	}
	return err
}
