package auth

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/nfc"
)

const (
	// leeway is how far a token's clock may be from ours. Nothing else adds to it: neither the cache nor
	// a stream lasts longer than the token.
	leeway = 30 * time.Second
	// maxCached is how long a verified token is believed without verifying again.
	maxCached = 5 * time.Minute
	// maxToken is the longest token that is parsed: a header may hold megabytes.
	maxToken = 16 << 10
	// maxSubject is what OpenID Connect allows a sub claim.
	maxSubject = 255
	// maxHint cuts the claims about a token's bearer.
	maxHint = 200
	// minRSABits is the least that RFC 7518 allows RS256.
	minRSABits = 2048
)

// algorithms are the only ones accepted: asymmetric, so that no public key can
// be used as a shared secret, and never "none".
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}
}

// OIDCIssuer is an OpenID Connect issuer whose tokens are accepted.
type OIDCIssuer struct {
	// URL is the issuer as the iss claim spells it; keys are found by discovery below it.
	URL string
	// Audience must be among the token's audiences.
	Audience string
	// RolesClaim names the claim with the roles: an array or words separated by
	// spaces. "roles" when empty; "realm_access.roles" looks inside an object.
	RolesClaim string
}

// VerifierOptions are the issuers whose tokens are accepted, and how they are checked.
type VerifierOptions struct {
	// Local is accepted besides the OIDC issuers; nil for none.
	Local *LocalIssuer
	OIDC  []OIDCIssuer
	// HTTPClient fetches discovery documents and keys; nil for the default one.
	HTTPClient *http.Client
	Logger     *slog.Logger
	Now        func() time.Time
}

// Verifier turns a bearer token into the Principal it speaks for.
type Verifier struct {
	issuers map[string]issuer
	remote  []*remoteKeys
	cache   *tokenCache
	now     func() time.Time
}

// issuer is an issuer whose tokens are accepted, and how they look.
type issuer struct {
	audience   string
	rolesClaim string
	source     keySource
}

// keySource returns the keys that may have signed a token with that key id (""
// when the token has none). No keys is no error; Unavailable when it cannot
// be known now.
type keySource interface {
	keys(ctx context.Context, keyID string) (trusted, error)
}

// trusted are keys, and until when they are to be trusted; the zero time for no end.
type trusted struct {
	keys  []jose.JSONWebKey
	until time.Time
}

// NewVerifier needs no issuer to be reachable: discovery happens when the first
// token asks for it, or Follow does. Invalid when an issuer is named twice or without audience.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	v := &Verifier{issuers: map[string]issuer{}, cache: newTokenCache(maxCachedTokens), now: o.Now}
	if o.Local != nil {
		v.issuers[LocalIssuerName] = issuer{LocalAudience, "roles", o.Local}
	}
	for _, i := range o.OIDC {
		if i.URL == "" || i.Audience == "" {
			return nil, errs.New(errs.Invalid, errs.ReasonBadIssuer, "a token issuer needs a URL and an audience")
		}
		if _, twice := v.issuers[i.URL]; twice {
			return nil, errs.New(errs.Invalid, errs.ReasonBadIssuer, "token issuer %s is named twice", i.URL)
		}
		source := newRemoteKeys(i.URL, o.HTTPClient, o.Logger, o.Now, v.cache.purge)
		v.issuers[i.URL] = issuer{i.Audience, cmp.Or(i.RolesClaim, "roles"), source}
		v.remote = append(v.remote, source)
	}
	return v, nil
}

// Follow fetches each issuer's keys before the first token asks for them, every five minutes, and every
// few seconds where that failed, until ctx ends. So the log names an issuer that is not
// there, or not what it should be, when the program starts and not at the first request.
func (v *Verifier) Follow(ctx context.Context) {
	var all sync.WaitGroup
	for _, r := range v.remote {
		all.Go(func() { r.follow(ctx) })
	}
	all.Wait()
}

// IssuerState is what is known of an OpenID Connect issuer's keys.
type IssuerState struct {
	URL string
	// Failing reports whether it gave no keys when it was last asked.
	Failing bool
	// KnownUntil is when the keys that are known of it end, should it give none; zero when none are known.
	KnownUntil time.Time
	// Age is how long ago it gave its keys; since the start when it never did.
	Age time.Duration
}

// Issuers are the states of the OpenID Connect issuers, in the order of the options.
func (v *Verifier) Issuers() []IssuerState {
	states := make([]IssuerState, len(v.remote))
	for i, r := range v.remote {
		states[i] = r.state()
	}
	return states
}

// Forget gives up what is remembered of tokens. They are verified again when they come again.
func (v *Verifier) Forget() { v.cache.purge() }

// Verify returns the principal of the token. Unauthenticated with TOKEN_EXPIRED
// or TOKEN_INVALID when it is not to be believed, Unavailable when its issuer's
// keys cannot be had. Service and LearnerID are not filled.
func (v *Verifier) Verify(ctx context.Context, token string) (Principal, error) {
	if len(token) > maxToken {
		return Principal{}, invalidToken(nil)
	}
	now, hash := v.now(), tokenHash(sha256.Sum256([]byte(token)))
	p, found, era := v.cache.get(hash, now)
	if found {
		return p, nil
	}
	p, keysUntil, err := v.verify(ctx, token, now)
	if err != nil {
		return Principal{}, err
	}
	until := now.Add(maxCached)
	if p.Expires.Before(until) {
		until = p.Expires
	}
	if !keysUntil.IsZero() && keysUntil.Before(until) {
		until = keysUntil
	}
	v.cache.put(hash, p, until, era)
	return p, nil
}

// verify returns the principal, and until when its issuer's keys are to be trusted.
func (v *Verifier) verify(ctx context.Context, token string, now time.Time) (Principal, time.Time, error) {
	parsed, err := jwt.ParseSigned(token, algorithms())
	if err != nil {
		return Principal{}, time.Time{}, invalidToken(err)
	}
	// Only to find whose keys to try; nothing is believed until one fits.
	var claimed struct {
		Issuer string `json:"iss"`
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&claimed); err != nil {
		return Principal{}, time.Time{}, invalidToken(err)
	}
	from, ok := v.issuers[claimed.Issuer]
	if !ok {
		return Principal{}, time.Time{}, invalidToken(errors.New("its issuer is not one of ours"))
	}
	known, err := from.source.keys(ctx, parsed.Headers[0].KeyID)
	if err != nil {
		return Principal{}, time.Time{}, err
	}
	if len(known.keys) == 0 {
		return Principal{}, time.Time{}, unknownKey(claimed.Issuer)
	}
	standard, all := jwt.Claims{}, map[string]any{}
	if !signedBy(parsed, known.keys, &standard, &all) {
		return Principal{}, time.Time{}, invalidToken(errors.New("no key of its issuer made its signature"))
	}
	if err := from.check(claimed.Issuer, standard, now); err != nil {
		return Principal{}, time.Time{}, err
	}
	return from.principal(standard, all), known.until, nil
}

// signedBy reads the claims into dest with the first key that made the signature.
func signedBy(parsed *jwt.JSONWebToken, keys []jose.JSONWebKey, dest ...any) bool {
	header := parsed.Headers[0]
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm || !fits(key.Key, header.Algorithm) {
			continue
		}
		if parsed.Claims(key.Key, dest...) == nil {
			return true
		}
	}
	return false
}

// fits reports whether a public key is of the kind and strength that the algorithm means.
func fits(key any, algorithm string) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return algorithm == string(jose.RS256) && k.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return algorithm == string(jose.ES256) && k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return algorithm == string(jose.EdDSA)
	}
	return false
}

func (i issuer) check(name string, c jwt.Claims, now time.Time) error {
	if !isSubject(c.Subject) {
		return invalidToken(errors.New("its subject is missing or too long"))
	}
	if c.Expiry == nil {
		return invalidToken(errors.New("it never expires"))
	}
	err := c.ValidateWithLeeway(jwt.Expected{Issuer: name, AnyAudience: jwt.Audience{i.audience}, Time: now}, leeway)
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return expiredToken()
	case err != nil:
		return invalidToken(err)
	}
	return nil
}

func (i issuer) principal(c jwt.Claims, all map[string]any) Principal {
	p := Principal{
		Issuer: c.Issuer, Subject: c.Subject, Expires: c.Expiry.Time(), Roles: rolesOf(all, i.rolesClaim),
		Name: hint(all, "name"), Email: hint(all, "email"), Locale: hint(all, "locale"), ZoneInfo: hint(all, "zoneinfo"),
	}
	p.Command = c.Issuer == LocalIssuerName && all["client"] == commandClient
	if verified, ok := all["email_verified"].(bool); ok && !verified {
		p.Email = ""
	}
	return p
}

// rolesOf reads our roles out of a claim and passes over the rest: issuers put
// roles of other programs there too. A token without the claim is a learner's;
// one that has it and names no role of ours has no role.
func rolesOf(claims map[string]any, name string) []Role {
	value, found := claimNamed(claims, name)
	if !found {
		return []Role{RoleLearner}
	}
	var names []string
	switch value := value.(type) {
	case string:
		names = strings.Fields(value)
	case []any:
		for _, v := range value {
			if text, ok := v.(string); ok {
				names = append(names, text)
			}
		}
	}
	var roles []Role
	for _, text := range names {
		if role, err := ParseRole(text); err == nil && !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	return roles
}

// claimNamed finds a claim by its whole name, which may hold dots (some issuers
// use URLs), else by following the dots into objects.
func claimNamed(claims map[string]any, name string) (any, bool) {
	if value, ok := claims[name]; ok {
		return value, true
	}
	first, rest, dotted := strings.Cut(name, ".")
	if inner, ok := claims[first].(map[string]any); ok && dotted {
		return claimNamed(inner, rest)
	}
	return nil, false
}

// hint is a claim's text, in NFC as all texts that people write, cut to a length that any profile takes.
func hint(claims map[string]any, name string) string {
	text, _ := claims[name].(string)
	text = nfc.String(strings.ReplaceAll(text, "\x00", ""))
	if runes := []rune(text); len(runes) > maxHint {
		text = string(runes[:maxHint])
	}
	return text
}

func isSubject(s string) bool {
	return s != "" && len(s) <= maxSubject && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// invalidToken is an error that hides from the caller why a token is refused; the cause is for the log.
func invalidToken(cause error) error {
	if cause != nil {
		cause = fmt.Errorf("token refused: %w", cause)
	}
	return errs.Wrap(cause, errs.Unauthenticated, errs.ReasonTokenInvalid, "the bearer token is not valid here")
}

// unknownKey is the error of a token that names a key which its issuer, as far as we know, does not have. It
// says so: mostly an honest caller uses another folder, or a token from before a new key.
func unknownKey(issuerName string) error {
	cause := errors.New("token refused: its issuer has no such key")
	if issuerName == LocalIssuerName {
		return errs.Wrap(cause, errs.Unauthenticated, errs.ReasonTokenInvalid,
			"the bearer token was signed with another key than this server's; make one with `preceptor token --data DIR`, where DIR is the server's folder")
	}
	return errs.Wrap(cause, errs.Unauthenticated, errs.ReasonTokenInvalid,
		"the bearer token was signed with a key that its issuer does not publish; sign in again")
}

func expiredToken() error {
	return errs.New(errs.Unauthenticated, errs.ReasonTokenExpired, "the bearer token has expired; sign in again")
}
