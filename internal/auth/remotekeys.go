package auth

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/preceptor-dev/preceptor/internal/errs"
)

const (
	// fetchTimeout bounds one look at an issuer: a caller waits for it.
	fetchTimeout = 5 * time.Second
	// keysFresh is how old keys may be before they are fetched again, by follow and beside the
	// calls that use them, so that a key that the issuer withdrew goes here too.
	keysFresh = 5 * time.Minute
	// keysKept is how long known keys are accepted after the issuer gave them last. Longer than nearly
	// all access tokens last, so that an outage of the issuer signs nobody out; and an end, since whoever
	// stole a key that was withdrawn meanwhile may keep the issuer from reaching us.
	keysKept = 24 * time.Hour
	// keysMinAge keeps tokens with made-up key ids from hammering the issuer.
	keysMinAge = 5 * time.Second
	// failureRest is how long a failed fetch counts for the calls that follow.
	failureRest = time.Second
	// maxKeySet is more than any issuer publishes.
	maxKeySet = 1 << 20
	// keysRetry is how often an issuer that failed is asked again when no token asks for it.
	keysRetry = 5 * time.Second
	// maxFault cuts an unexpected response of an issuer: it may be a whole page.
	maxFault = 300
)

// errNoKeys is that an issuer responds with a key set in which there is nothing for us.
var errNoKeys = errors.New("key set: holds no key for RS256, ES256 or EdDSA")

// remoteKeys are the keys of an OpenID Connect issuer, discovered and fetched
// when a token first needs them, and again when a token names one not held.
type remoteKeys struct {
	issuerURL string
	client    *http.Client
	logger    *slog.Logger
	now       func() time.Time
	changed   func() // called after the held keys became others

	flight singleflight.Group // at most one fetch at a time

	mu          sync.Mutex
	jwksURL     string // "" until discovered
	held        []jose.JSONWebKey
	fingerprint [sha256.Size]byte
	fetchTime   time.Time // of the held keys
	madeTime    time.Time
	failTime    time.Time
	failure     error // of the last fetch; nil when it worked
}

func newRemoteKeys(url string, client *http.Client, logger *slog.Logger, now func() time.Time, changed func()) *remoteKeys {
	if client == nil {
		client = &http.Client{Timeout: fetchTimeout, Transport: HTTPTransport(now)}
	}
	return &remoteKeys{issuerURL: url, client: client, logger: logger, now: now, changed: changed, madeTime: now()}
}

// HTTPTransport returns a transport like the default one, for which a server's certificate is
// valid by a clock.
func HTTPTransport(now func() time.Time) http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, Time: now}
	return t
}

// keys returns the held keys where they suffice.
func (r *remoteKeys) keys(ctx context.Context, keyID string) (trusted, error) {
	candidates, age := r.candidates(keyID)
	switch {
	case len(candidates.keys) > 0 && age < keysFresh:
		return candidates, nil
	case len(candidates.keys) > 0:
		r.flight.DoChan("", r.fetch) // nobody waits for it
		return candidates, nil
	case age < keysMinAge:
		return trusted{}, nil // just fetched, and not there
	}
	select {
	case result := <-r.flight.DoChan("", r.fetch):
		if result.Err != nil {
			return trusted{}, errs.Wrap(result.Err, errs.Unavailable, errs.ReasonIssuerUnreachable,
				"the token's issuer cannot be reached to verify it; try again")
		}
		candidates, _ = r.candidates(keyID)
		return candidates, nil
	case <-ctx.Done():
		return trusted{}, ctx.Err()
	}
}

// candidates are the held keys with that id, all of them for "", and how long
// ago they were fetched. Keys that were fetched too long ago are none.
func (r *remoteKeys) candidates(keyID string) (trusted, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	age := r.now().Sub(r.fetchTime)
	if age >= keysKept {
		return trusted{}, age
	}
	found := trusted{until: r.fetchTime.Add(keysKept)}
	for _, key := range r.held {
		if keyID == "" || key.KeyID == keyID {
			found.keys = append(found.keys, key)
		}
	}
	return found, age
}

// fetch replaces the held keys by the issuer's. It runs on its own clock, not
// on a caller's: a caller that hangs up must not fail the others that wait.
func (r *remoteKeys) fetch() (any, error) {
	r.mu.Lock()
	url, failure, rest := r.jwksURL, r.failure, r.now().Sub(r.failTime)
	r.mu.Unlock()
	if failure != nil && rest < failureRest {
		return nil, failure
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	url, keys, err := r.download(ctx, url)
	if err != nil {
		r.fail(ctx, err)
		return nil, err
	}
	if failure != nil {
		r.logger.LogAttrs(ctx, slog.LevelInfo, "the token issuer gives its keys again", slog.String("issuer", r.issuerURL))
	}
	if r.hold(url, keys) {
		r.logger.LogAttrs(ctx, slog.LevelInfo, "token issuer's keys changed",
			slog.String("issuer", r.issuerURL), slog.Int("keys", len(keys)))
		r.changed()
	}
	return struct{}{}, nil
}

// fail stores that a fetch failed. The held keys stay for a time, and where the issuer responds with a
// set of no use as well: one that it emptied by mistake must not sign everybody out, and one that
// withdraws a key has another.
func (r *remoteKeys) fail(ctx context.Context, err error) {
	now := r.now()
	r.mu.Lock()
	was, known, until := r.failure, len(r.held), r.fetchTime.Add(keysKept)
	lapsed := known > 0 && !now.Before(until)
	if lapsed {
		r.held = nil
	}
	r.jwksURL, r.failure, r.failTime = "", err, now // discover anew: the address may have moved
	r.mu.Unlock()
	if lapsed {
		r.changed()
		r.logger.LogAttrs(ctx, slog.LevelError, "the token issuer has given no keys for too long; those known of it are not accepted any more",
			slog.String("issuer", r.issuerURL), slog.Any("error", err))
		return
	}
	empty := errors.Is(err, errNoKeys)
	if was != nil && errors.Is(was, errNoKeys) == empty {
		return // it is logged
	}
	level := slog.LevelWarn
	if empty { // it will hardly come right by itself
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.String("issuer", r.issuerURL), slog.Any("error", err)}
	if known > 0 {
		attrs = append(attrs, slog.Int("known", known), slog.Time("known_until", until))
	}
	r.logger.LogAttrs(ctx, level, "the token issuer gives no keys; it is asked again", attrs...)
}

// inShort is an error as one line, cut: it may quote all that the issuer answered.
func inShort(err error) string {
	text := []rune(strings.Join(strings.Fields(err.Error()), " "))
	if len(text) > maxFault {
		return string(text[:maxFault]) + "…"
	}
	return string(text)
}

// follow fetches the keys before a token needs them, again when they have become old, and more often
// while that fails, until ctx ends.
func (r *remoteKeys) follow(ctx context.Context) {
	tick := time.NewTicker(keysRetry)
	defer tick.Stop()
	for {
		if r.missing() {
			_, _, _ = r.flight.Do("", r.fetch) // logged, and returned to callers that need the keys
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// missing reports whether the last fetch failed, was too long ago, or there was none.
func (r *remoteKeys) missing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure != nil || r.held == nil || r.now().Sub(r.fetchTime) >= keysFresh
}

// state is what an operator may want to know.
func (r *remoteKeys) state() IssuerState {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, s := r.now(), IssuerState{URL: r.issuerURL, Failing: r.failure != nil}
	given := r.madeTime
	if !r.fetchTime.IsZero() {
		given = r.fetchTime
	}
	s.Age = now.Sub(given)
	if until := r.fetchTime.Add(keysKept); len(r.held) > 0 && now.Before(until) {
		s.KnownUntil = until
	}
	return s
}

// hold stores fetched keys and reports whether they differ from those before.
func (r *remoteKeys) hold(url string, keys []jose.JSONWebKey) (changed bool) {
	found := fingerprint(keys)
	r.mu.Lock()
	defer r.mu.Unlock()
	changed = r.held != nil && found != r.fingerprint
	r.jwksURL, r.held, r.fingerprint, r.fetchTime, r.failure = url, keys, found, r.now(), nil
	return changed
}

// download finds the address of the key set, where it is not known, and reads it.
func (r *remoteKeys) download(ctx context.Context, url string) (string, []jose.JSONWebKey, error) {
	if url == "" {
		provider, err := oidc.NewProvider(oidc.ClientContext(ctx, r.client), r.issuerURL)
		if err != nil {
			return "", nil, errors.New("discovery: " + inShort(err))
		}
		var document struct {
			JWKSURI string `json:"jwks_uri"` //nolint:tagliatelle // the standard's spelling
		}
		if err := provider.Claims(&document); err != nil {
			return "", nil, fmt.Errorf("discovery: %w", err)
		}
		url = document.JWKSURI
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", nil, fmt.Errorf("key set: %w", err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return "", nil, fmt.Errorf("key set: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet))
	if err != nil {
		return "", nil, fmt.Errorf("key set: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("key set: %s answered %s", url, resp.Status)
	}
	keys, err := parseKeySet(body)
	return url, keys, err
}

// parseKeySet returns the public signing keys that we can use. Sets hold keys of
// other kinds too, so one that cannot be read is passed over.
func parseKeySet(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !key.Valid() || !key.IsPublic() || key.Use == "enc" {
			continue
		}
		if slices.ContainsFunc(algorithms(), func(a jose.SignatureAlgorithm) bool { return fits(key.Key, string(a)) }) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return keys, nil
}

// fingerprint is the same for the same keys under the same ids, in any order.
func fingerprint(keys []jose.JSONWebKey) [sha256.Size]byte {
	lines := make([]string, 0, len(keys))
	for _, key := range keys {
		thumb, _ := key.Thumbprint(crypto.SHA256) // a valid key of these kinds always has one
		lines = append(lines, fmt.Sprintf("%q %x\n", key.KeyID, thumb))
	}
	slices.Sort(lines)
	return sha256.Sum256(fmt.Append(nil, lines))
}
