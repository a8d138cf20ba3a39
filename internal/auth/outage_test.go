package auth_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/preceptor-dev/preceptor/internal/auth"
	"github.com/preceptor-dev/preceptor/internal/errs"
)

// records is a log that others write to meanwhile.
type records struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// levels are those of the records whose message begins so, in their order.
func (r *records) levels(t *testing.T, message string) (levels []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(r.text.String()) {
		var record struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(record.Msg, message) {
			levels = append(levels, record.Level)
		}
	}
	return levels
}

// logged makes a verifier of a provider's tokens, with its log.
func (p *provider) logged(c *clock) (*auth.Verifier, *records) {
	log := &records{}
	return must(auth.NewVerifier(auth.VerifierOptions{
		OIDC:   []auth.OIDCIssuer{{URL: p.URL, Audience: "preceptor-app"}},
		Logger: slog.New(slog.NewJSONHandler(log, nil)), Now: c.now,
	})), log
}

// long is a token that outlives all of this.
func (p *provider) long(c *clock, key crypto.Signer, kid string) string {
	return sign(jose.EdDSA, key, kid, with(p.claims(c), "exp", c.now().Add(240*time.Hour).Unix()))
}

// TestKnownKeysHaveAnEnd: while the issuer is unreachable, or publishes no keys, known keys verify tokens
// for a day after they were given last, and not a moment longer, not even tokens verified just before.
func TestKnownKeysHaveAnEnd(t *testing.T) {
	t.Parallel()
	for name, level := range map[string]string{"unreachable": "WARN", "empty": "ERROR"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p := newClock(), newProvider(t)
			key := newKey(jose.EdDSA)
			p.publish(public(key, "k"))
			v, log := p.logged(c)
			token := p.long(c, key, "k")
			must(v.Verify(t.Context(), token))
			given := c.now()
			if name == "empty" {
				p.publish()
			} else {
				p.down.Store(true)
			}

			c.advance(10 * time.Minute)
			must(v.Verify(t.Context(), p.long(c, key, "k"))) // a token that was never seen
			waitFor(t, "the failure", func() bool { return v.Issuers()[0].Failing })
			state := v.Issuers()[0]
			if !state.KnownUntil.Equal(given.Add(24*time.Hour)) || state.Age != 10*time.Minute || state.URL != p.URL {
				t.Errorf("%+v", state)
			}
			_, err := v.Verify(t.Context(), p.long(c, newKey(jose.EdDSA), "other"))
			wantReason(t, err, errs.Unavailable, errs.ReasonIssuerUnreachable)

			c.advance(24*time.Hour - 10*time.Minute - time.Second)
			must(v.Verify(t.Context(), token))
			c.advance(time.Second)
			for _, token := range []string{token, p.long(c, key, "k")} {
				_, err := v.Verify(t.Context(), token)
				wantReason(t, err, errs.Unavailable, errs.ReasonIssuerUnreachable)
			}
			if state := v.Issuers()[0]; !state.KnownUntil.IsZero() || state.Age != 24*time.Hour {
				t.Errorf("%+v", state)
			}
			if got := log.levels(t, "the token issuer gives no keys"); len(got) != 1 || got[0] != level {
				t.Errorf("it logs %q, want %s", got, level)
			}
			if got := log.levels(t, "the token issuer has given no keys for too long"); len(got) != 1 || got[0] != "ERROR" {
				t.Errorf("it logs %q", got)
			}

			p.publish(public(key, "k"))
			p.down.Store(false)
			c.advance(time.Second)
			must(v.Verify(t.Context(), token))
			if state := v.Issuers()[0]; state.Failing || state.Age != 0 || !state.KnownUntil.Equal(c.now().Add(24*time.Hour)) {
				t.Errorf("%+v", state)
			}
		})
	}
}

// TestAnEmptySetIsLoggedAnew: an outage that becomes an empty set is another fault.
func TestAnEmptySetIsLoggedAnew(t *testing.T) {
	t.Parallel()
	c, p := newClock(), newProvider(t)
	p.down.Store(true)
	v, log := p.logged(c)
	for _, down := range []bool{true, true, false, false, true} {
		p.down.Store(down)
		_, err := v.Verify(t.Context(), sign(jose.EdDSA, newKey(jose.EdDSA), "k", p.claims(c)))
		wantReason(t, err, errs.Unavailable, errs.ReasonIssuerUnreachable)
		c.advance(2 * time.Second)
	}
	if got := strings.Join(log.levels(t, "the token issuer gives no keys"), " "); got != "WARN ERROR WARN" {
		t.Errorf("it logs %s", got)
	}
}

// TestWithdrawnKeysGoWithoutACall: a set without a key ends that key, whoever calls or does not.
func TestWithdrawnKeysGoWithoutACall(t *testing.T) {
	t.Parallel()
	c, p := newClock(), newProvider(t)
	key := newKey(jose.EdDSA)
	p.publish(public(key, "k"))
	v, _ := p.logged(c)
	token := p.long(c, key, "k")
	must(v.Verify(t.Context(), token))
	p.publish(public(newKey(jose.EdDSA), "other"))
	c.advance(5*time.Minute - time.Second)
	must(v.Verify(t.Context(), token)) // which caches it for five minutes more
	c.advance(time.Second)
	looks := p.looks.Load()
	go v.Follow(t.Context())
	waitFor(t, "another look at the keys", func() bool { return p.looks.Load() > looks && v.Issuers()[0].Age == 0 })
	waitFor(t, "the key's end", func() bool {
		_, err := v.Verify(t.Context(), token)
		return errs.ReasonOf(err) == errs.ReasonTokenInvalid
	})
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 60_000 {
		if done() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("in vain: " + what)
}
