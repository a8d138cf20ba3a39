package auth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
	"github.com/preceptor-dev/preceptor/internal/testenv"
)

// clock is a time that tests move.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// must takes the value of a call that cannot fail here.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func newKey(kind jose.SignatureAlgorithm) crypto.Signer {
	switch kind {
	case jose.RS256:
		return must(rsa.GenerateKey(rand.Reader, 2048))
	case jose.ES256:
		return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	case jose.ES384:
		return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	default:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return must(key, err)
	}
}

func sign(alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil))
	return must(jwt.Signed(signer).Claims(claims).Serialize())
}

// provider is an OpenID Connect issuer that can be broken and whose keys change.
type provider struct {
	*httptest.Server
	mu    sync.Mutex
	keys  []jose.JSONWebKey
	down  atomic.Bool
	looks atomic.Int32 // at the key set
}

func newProvider(tb testing.TB) *provider {
	tb.Helper()
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys"})
		case "/keys":
			p.looks.Add(1)
			p.mu.Lock()
			defer p.mu.Unlock()
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
		}
	}))
	tb.Cleanup(p.Close)
	return p
}

func (p *provider) publish(keys ...jose.JSONWebKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

func public(key crypto.Signer, kid string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: kid, Use: "sig"}
}

func (p *provider) claims(c *clock) map[string]any {
	return map[string]any{
		"iss": p.URL, "sub": "ada", "aud": []string{"other", "preceptor-app"},
		"iat": c.now().Unix(), "exp": c.now().Add(time.Hour).Unix(),
	}
}

func with(claims map[string]any, name string, value any) map[string]any {
	out := maps.Clone(claims)
	out[name] = value
	if value == nil {
		delete(out, name)
	}
	return out
}

func (p *provider) verifier(c *clock, rolesClaim string) *auth.Verifier {
	return must(auth.NewVerifier(auth.VerifierOptions{
		OIDC:   []auth.OIDCIssuer{{URL: p.URL, Audience: "preceptor-app", RolesClaim: rolesClaim}},
		Logger: slog.New(slog.DiscardHandler), Now: c.now,
	}))
}

func localVerifier(c *clock, issuer *auth.LocalIssuer) *auth.Verifier {
	return must(auth.NewVerifier(auth.VerifierOptions{Local: issuer, Logger: slog.New(slog.DiscardHandler), Now: c.now}))
}

func wantReason(tb testing.TB, err error, kind errs.Kind, reason string) {
	tb.Helper()
	if err == nil || errs.KindOf(err) != kind || errs.ReasonOf(err) != reason {
		tb.Fatalf("got %v (%v %s), want %v %s", err, errs.KindOf(err), errs.ReasonOf(err), kind, reason)
	}
}

func TestLocalIssuerVouchesForItsTokens(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	token := must(must(auth.OpenLocalIssuer(dir, c.now)).Mint("ada", []auth.Role{auth.RoleAuthor, auth.RoleAdmin}, "Ada Lovelace", time.Hour))
	p, err := localVerifier(c, must(auth.OpenLocalIssuer(dir, c.now))).Verify(t.Context(), token) // as another process would
	if err != nil {
		t.Fatal(err)
	}
	if p.Issuer != "https://preceptor.local" || p.Subject != "ada" || p.Name != "Ada Lovelace" ||
		!slices.Equal(p.Roles, []auth.Role{"author", "admin"}) || !p.Expires.Equal(c.now().Add(time.Hour)) {
		t.Errorf("got %+v", p)
	}
	if p.ActorID() != "https://preceptor.local|ada" || !p.HasRole(auth.RoleAdmin) || p.HasRole(auth.RoleLearner) {
		t.Errorf("actor %q, roles %v", p.ActorID(), p.Roles)
	}
	info, err := os.Stat(filepath.Join(dir, auth.LocalKeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v", info, err)
	}
	unknown := must(auth.OpenLocalIssuer(t.TempDir(), c.now))
	_, err = localVerifier(c, unknown).Verify(t.Context(), token)
	wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenInvalid)
}

func TestMintRefusesNonsense(t *testing.T) {
	issuer := must(auth.OpenLocalIssuer(t.TempDir(), newClock().now))
	for name, mint := range map[string]func() (string, error){
		"no subject":   func() (string, error) { return issuer.Mint("", nil, "", time.Hour) },
		"long subject": func() (string, error) { return issuer.Mint(strings.Repeat("a", 256), nil, "", time.Hour) },
		"unknown role": func() (string, error) { return issuer.Mint("ada", []auth.Role{"root"}, "", time.Hour) },
		"no life":      func() (string, error) { return issuer.Mint("ada", nil, "", 0) },
	} {
		if token, err := mint(); err == nil || token != "" {
			t.Errorf("%s: minted", name)
		}
	}
}

func TestLocalIssuerRefusesADamagedKey(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, auth.LocalKeyFile), []byte("secret-but-no-key"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := auth.OpenLocalIssuer(dir, testenv.Now)
	if err == nil || strings.Contains(err.Error(), "secret-but") {
		t.Errorf("got %v", err)
	}
}

func TestAllOfARaceReadOneSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "secret")
	var wg sync.WaitGroup
	got := make([][]byte, 16)
	for i := range got {
		wg.Go(func() {
			got[i] = must(auth.SecretFile(path, func() ([]byte, error) { return bytes.Repeat([]byte{byte('a' + i)}, 1<<16), nil }))
		})
	}
	wg.Wait()
	for i := range got {
		if !bytes.Equal(got[i], got[0]) || len(got[i]) != 1<<16 {
			t.Fatalf("caller %d read another secret", i)
		}
	}
	left := must(os.ReadDir(filepath.Dir(path)))
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestVerifierTakesTheThreeAlgorithms(t *testing.T) {
	c, p := newClock(), newProvider(t)
	v := p.verifier(c, "")
	var keys []jose.JSONWebKey
	tokens := map[jose.SignatureAlgorithm]string{}
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA} {
		key := newKey(alg)
		keys = append(keys, public(key, "key-"+string(alg)))
		tokens[alg] = sign(alg, key, "key-"+string(alg), p.claims(c))
	}
	p.publish(keys...)
	for alg, token := range tokens {
		got, err := v.Verify(t.Context(), token)
		if err != nil || got.Subject != "ada" || !slices.Equal(got.Roles, []auth.Role{auth.RoleLearner}) {
			t.Errorf("%s: %+v %v", alg, got, err)
		}
	}
	if p.looks.Load() != 1 {
		t.Errorf("fetched the keys %d times", p.looks.Load())
	}
	noID := newKey(jose.EdDSA)
	p.publish(append(keys, jose.JSONWebKey{Key: noID.Public()})...)
	c.advance(time.Minute)
	if _, err := v.Verify(t.Context(), sign(jose.EdDSA, noID, "", p.claims(c))); err == nil {
		t.Error("a token without key id was taken before its key was known")
	}
}

func TestVerifierRefuses(t *testing.T) {
	c, p := newClock(), newProvider(t)
	rsaKey, ecKey, edKey, p384 := newKey(jose.RS256), newKey(jose.ES256), newKey(jose.EdDSA), newKey(jose.ES384)
	weak := must(rsa.GenerateKey(rand.Reader, 1024)) //nolint:gosec // to be refused
	encryption := public(newKey(jose.RS256), "enc")
	encryption.Use = "enc"
	p.publish(public(rsaKey, "rsa"), public(ecKey, "ec"), public(edKey, "ed"), public(p384, "p384"), public(weak, "weak"), encryption)
	good := p.claims(c)
	valid := sign(jose.EdDSA, edKey, "ed", good)
	parts := strings.Split(valid, ".")
	none := "eyJhbGciOiJub25lIn0." + parts[1] + "."
	shared := must(x509.MarshalPKIXPublicKey(rsaKey.Public()))
	at := func(name string, d time.Duration) string {
		return sign(jose.EdDSA, edKey, "ed", with(good, name, c.now().Add(d).Unix()))
	}
	cases := map[string]string{
		"nothing": "", "garbage": "garbage", "too long": strings.Repeat("a", 1<<20), "none": none,
		"shared secret made of a public key": sign(jose.HS256, shared, "rsa", good),
		"an algorithm not on the list":       sign(jose.ES384, p384, "p384", good),
		"another RSA algorithm":              sign(jose.RS512, rsaKey, "rsa", good),
		"a weak key":                         sign(jose.RS256, weak, "weak", good),
		"an unknown key by a known name":     sign(jose.EdDSA, newKey(jose.EdDSA), "ed", good),
		"an unknown key":                     sign(jose.EdDSA, newKey(jose.EdDSA), "other", good),
		"another token's signature":          parts[0] + "." + parts[1] + "." + strings.Split(at("exp", time.Minute), ".")[2],
		"another issuer":                     sign(jose.EdDSA, edKey, "ed", with(good, "iss", "https://elsewhere.example")),
		"no issuer":                          sign(jose.EdDSA, edKey, "ed", with(good, "iss", nil)),
		"another audience":                   sign(jose.EdDSA, edKey, "ed", with(good, "aud", "else")),
		"no audience":                        sign(jose.EdDSA, edKey, "ed", with(good, "aud", nil)),
		"no subject":                         sign(jose.EdDSA, edKey, "ed", with(good, "sub", nil)),
		"a subject with NUL":                 sign(jose.EdDSA, edKey, "ed", with(good, "sub", "a\x00b")),
		"no expiry":                          sign(jose.EdDSA, edKey, "ed", with(good, "exp", nil)),
		"not yet":                            at("nbf", 31*time.Second),
		"from the future":                    at("iat", 31*time.Second),
	}
	v := p.verifier(c, "")
	for name, token := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := v.Verify(t.Context(), token)
			wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenInvalid)
			if token != "" && strings.Contains(err.Error(), token) {
				t.Error("the error quotes the token")
			}
		})
	}
	_, err := v.Verify(t.Context(), at("exp", -32*time.Second))
	wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenExpired)
	for name, token := range map[string]string{
		"just expired": at("exp", -29*time.Second), "nearly valid": at("nbf", 29*time.Second), "valid": valid,
	} {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRolesClaim(t *testing.T) {
	c, p := newClock(), newProvider(t)
	key := newKey(jose.EdDSA)
	p.publish(public(key, "k"))
	for name, test := range map[string]struct {
		claim string
		value any
		want  []auth.Role
	}{
		"absent":             {"roles", nil, []auth.Role{"learner"}},
		"array":              {"roles", []string{"author", "Admin", "author", "offline_access"}, []auth.Role{"author", "admin"}},
		"words":              {"roles", "manager learner", []auth.Role{"manager", "learner"}},
		"none of ours":       {"roles", []string{"root"}, nil},
		"empty":              {"roles", []string{}, nil},
		"of a strange type":  {"roles", 7, nil},
		"mixed array":        {"roles", []any{7, "admin"}, []auth.Role{"admin"}},
		"named by a URL":     {"https://app.example/roles", "author", []auth.Role{"author"}},
		"inside an object":   {"realm_access.roles", map[string]any{"roles": []string{"author"}}, []auth.Role{"author"}},
		"object without one": {"realm_access.roles", map[string]any{}, []auth.Role{"learner"}},
	} {
		t.Run(name, func(t *testing.T) {
			set := test.claim
			if _, isObject := test.value.(map[string]any); isObject {
				set, _, _ = strings.Cut(test.claim, ".")
			}
			got, err := p.verifier(c, test.claim).Verify(t.Context(), sign(jose.EdDSA, key, "k", with(p.claims(c), set, test.value)))
			if err != nil || !slices.Equal(got.Roles, test.want) {
				t.Errorf("got %v %v, want %v", got.Roles, err, test.want)
			}
		})
	}
}

func TestHintsAreCutAndOnlyHints(t *testing.T) {
	c, p := newClock(), newProvider(t)
	key := newKey(jose.EdDSA)
	p.publish(public(key, "k"))
	claims := p.claims(c)
	maps.Copy(claims, map[string]any{
		"name": strings.Repeat("é", 500), "email": "ada@example.org", "email_verified": false, "locale": 7, "zoneinfo": "Europe/London\x00",
	})
	got := must(p.verifier(c, "").Verify(t.Context(), sign(jose.EdDSA, key, "k", claims)))
	if got.Name != strings.Repeat("é", 200) || got.Email != "" || got.Locale != "" || got.ZoneInfo != "Europe/London" {
		t.Errorf("got %+v", got)
	}
}

func TestAnIssuerThatComesLate(t *testing.T) {
	c, p := newClock(), newProvider(t)
	key := newKey(jose.EdDSA)
	p.publish(public(key, "k"))
	p.down.Store(true)
	v := p.verifier(c, "") // does not mind
	token := sign(jose.EdDSA, key, "k", p.claims(c))
	_, err := v.Verify(t.Context(), token)
	wantReason(t, err, errs.Unavailable, errs.ReasonIssuerUnreachable)
	p.down.Store(false)
	_, err = v.Verify(t.Context(), token) // a moment's rest after a failure
	wantReason(t, err, errs.Unavailable, errs.ReasonIssuerUnreachable)
	c.advance(time.Second)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	p.down.Store(true) // known keys and tokens work on
	c.advance(10 * time.Minute)
	for _, token := range []string{token, sign(jose.EdDSA, key, "k", p.claims(c))} {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("while the issuer is away: %v", err)
		}
	}
}

func TestACallerWhoHangsUpIsLetGo(t *testing.T) {
	c, p := newClock(), newProvider(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.mu.Lock() // the key set does not respond
	defer p.mu.Unlock()
	if _, err := p.verifier(c, "").Verify(ctx, sign(jose.EdDSA, newKey(jose.EdDSA), "k", p.claims(c))); err == nil {
		t.Error("verified")
	}
}

func TestMadeUpKeyIDsDoNotHammerTheIssuer(t *testing.T) {
	c, p := newClock(), newProvider(t)
	p.publish(public(newKey(jose.EdDSA), "k"))
	v, unknown := p.verifier(c, ""), newKey(jose.EdDSA)
	for i := range 50 {
		_, err := v.Verify(t.Context(), sign(jose.EdDSA, unknown, strings.Repeat("x", i+1), p.claims(c)))
		wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenInvalid)
	}
	if p.looks.Load() != 1 {
		t.Errorf("fetched the keys %d times", p.looks.Load())
	}
}

func TestChangedKeysForgetVerifiedTokens(t *testing.T) {
	c, p := newClock(), newProvider(t)
	old, fresh := newKey(jose.EdDSA), newKey(jose.EdDSA)
	p.publish(public(old, "old"))
	v := p.verifier(c, "")
	oldToken, newToken := sign(jose.EdDSA, old, "old", p.claims(c)), sign(jose.EdDSA, fresh, "new", p.claims(c))
	must(v.Verify(t.Context(), oldToken))
	p.publish(public(fresh, "new")) // the old key leaked
	if _, err := v.Verify(t.Context(), oldToken); err != nil {
		t.Errorf("a verified token is believed for a while: %v", err)
	}
	c.advance(10 * time.Second)
	must(v.Verify(t.Context(), newToken)) // names an unknown key: the set is fetched
	_, err := v.Verify(t.Context(), oldToken)
	wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenInvalid)
}

func TestWithdrawnKeysGoWithoutANewToken(t *testing.T) {
	c, p := newClock(), newProvider(t)
	key := newKey(jose.EdDSA)
	p.publish(public(key, "k"))
	v, token := p.verifier(c, ""), sign(jose.EdDSA, key, "k", p.claims(c))
	must(v.Verify(t.Context(), token))
	p.publish(public(newKey(jose.EdDSA), "other"))
	c.advance(5 * time.Minute)
	must(v.Verify(t.Context(), token)) // good by the held keys; they are fetched again beside it
	deadline := testenv.Now().Add(10 * time.Second)
	for testenv.Now().Before(deadline) {
		if _, err := v.Verify(t.Context(), token); err != nil {
			wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenInvalid)
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("a token of a withdrawn key is still believed")
}

func TestVerifiedTokensEnd(t *testing.T) {
	c := newClock()
	issuer := must(auth.OpenLocalIssuer(t.TempDir(), c.now))
	v, token := localVerifier(c, issuer), must(issuer.Mint("ada", nil, "", 2*time.Minute))
	must(v.Verify(t.Context(), token))
	c.advance(2*time.Minute + 29*time.Second)
	must(v.Verify(t.Context(), token)) // within the leeway
	c.advance(2 * time.Second)
	_, err := v.Verify(t.Context(), token)
	wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenExpired)
}

func TestVerifierOptionsAreChecked(t *testing.T) {
	one := auth.OIDCIssuer{URL: "https://a.example", Audience: "x"}
	for name, issuers := range map[string][]auth.OIDCIssuer{
		"no audience": {{URL: "https://a.example"}}, "no URL": {{Audience: "x"}}, "twice": {one, one},
	} {
		if _, err := auth.NewVerifier(auth.VerifierOptions{OIDC: issuers, Now: testenv.Now}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnotherKeyIsNamed holds that a token of a key that is not its issuer's is refused with other words than one that was changed.
func TestAnotherKeyIsNamed(t *testing.T) {
	c, p := newClock(), newProvider(t)
	key := newKey(jose.EdDSA)
	p.publish(public(key, "k"))
	local, other := must(auth.NewLocalIssuer(c.now)), must(auth.NewLocalIssuer(c.now))
	v := must(auth.NewVerifier(auth.VerifierOptions{
		Local: local, OIDC: []auth.OIDCIssuer{{URL: p.URL, Audience: "preceptor-app"}}, Logger: slog.New(slog.DiscardHandler), Now: c.now,
	}))
	changed := must(local.Mint("ada", nil, "", time.Hour))
	changed = changed[:len(changed)-8] + "AAAAAAAA"
	for name, test := range map[string]struct{ token, want string }{
		"another folder's":     {must(other.Mint("ada", nil, "", time.Hour)), "another key than this server's; make one with `preceptor token --data DIR`"},
		"a withdrawn key's":    {sign(jose.EdDSA, newKey(jose.EdDSA), "gone", p.claims(c)), "a key that its issuer does not publish; sign in again"},
		"a changed local one":  {changed, "is not valid here"},
		"a changed one":        {sign(jose.EdDSA, newKey(jose.EdDSA), "k", p.claims(c)), "is not valid here"},
		"one of no issuer":     {sign(jose.EdDSA, key, "k", with(p.claims(c), "iss", "https://elsewhere.example")), "is not valid here"},
		"one for other people": {sign(jose.EdDSA, key, "k", with(p.claims(c), "aud", "else")), "is not valid here"},
	} {
		_, err := v.Verify(t.Context(), test.token)
		wantReason(t, err, errs.Unauthenticated, errs.ReasonTokenInvalid)
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}
