// Package idem holds what an Idempotency-Key means, apart from any storage: the
// key with the hash of its request, and the guard that lets only one of several
// identical requests run at a time. Each service stores its finished keys in a
// table of its own, through internal/sqldb.
package idem

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

// TTL is how long a key is remembered after the create that it came with.
const TTL = 24 * time.Hour

// MaxLen is the longest key text, in bytes.
const MaxLen = 255

// Key names one request of one caller to one RPC. The zero Key means that the
// caller sent none: it guards nothing and is never stored.
type Key struct {
	// Caller is a learner id or a service's name.
	Caller string
	// Method is the full name of the RPC: "/preceptor.profile.v1.ProfileService/CreateCohort".
	Method string
	// Key is the text that the caller chose.
	Key string
	// Hash is the SHA-256 of the request, by which a reused key is told from a repeated one.
	Hash [32]byte
}

// New makes a Key of a request in an encoding that is the same each time. An empty
// text gives the zero Key; one that is not allowed an Invalid error.
func New(caller, method, text string, request []byte) (Key, error) {
	if text == "" {
		return Key{}, nil
	}
	if err := Validate(text); err != nil {
		return Key{}, err
	}
	return Key{Caller: caller, Method: method, Key: text, Hash: sha256.Sum256(request)}, nil
}

// Validate returns Invalid unless text is 1 to 255 visible ASCII characters.
func Validate(text string) error {
	ok := len(text) >= 1 && len(text) <= MaxLen
	for i := 0; ok && i < len(text); i++ {
		ok = text[i] > ' ' && text[i] <= '~'
	}
	if ok {
		return nil
	}
	return errs.InvalidFields([]errs.Violation{{
		Field:       "Idempotency-Key",
		Description: "must be 1 to 255 visible ASCII characters, without spaces",
		Reason:      errs.ReasonIdempotencyKeyInvalid,
	}})
}

// IsZero reports whether the caller sent no key.
func (k Key) IsZero() bool { return k.Key == "" }

// Guard lets one request per key run at a time in this process; the zero Guard is
// ready. Twins in different processes meet at the table's primary key instead.
type Guard struct {
	mu       sync.Mutex
	inFlight map[identity]struct{}
}

// identity is a Key without its hash: a twin with another body must wait as well.
type identity struct{ caller, method, key string }

// Enter claims the key until leave is called, which may be called more than once.
// It returns Aborted IDEMPOTENCY_KEY_IN_FLIGHT while another holds the key, and
// never blocks. The zero Key is always let in.
func (g *Guard) Enter(k Key) (leave func(), err error) {
	if k.IsZero() {
		return func() {}, nil
	}
	id := identity{k.Caller, k.Method, k.Key}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, held := g.inFlight[id]; held {
		return nil, ErrInFlight()
	}
	if g.inFlight == nil {
		g.inFlight = make(map[identity]struct{})
	}
	g.inFlight[id] = struct{}{}
	return sync.OnceFunc(func() { g.leave(id) }), nil
}

func (g *Guard) leave(id identity) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.inFlight, id)
}

// ErrInFlight is the error of a request whose twin is not finished yet.
func ErrInFlight() *errs.Error {
	return errs.New(errs.Aborted, errs.ReasonIdempotencyKeyInFlight, "a request with this Idempotency-Key is being served; ask again when it is done")
}

// ErrReused is the error of a key that was sent before with another request.
func ErrReused() *errs.Error {
	return errs.New(errs.FailedPrecondition, errs.ReasonIdempotencyKeyReused, "this Idempotency-Key was used for another request")
}
